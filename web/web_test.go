package web_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/web"
)

func render(t *testing.T, j protocol.JobView) (status, job string) {
	t.Helper()
	p, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	var s, one bytes.Buffer
	cluster := protocol.ClusterView{Jobs: protocol.JobCounts{Running: 1, Done: 2}, Hosts: 1}
	if err := p.Status(&s, web.Status{Cluster: cluster, Jobs: []protocol.JobView{j}, Queue: web.Queue{Untouched: 1, Running: 1234}}); err != nil {
		t.Fatal(err)
	}
	if err := p.Job(&one, web.Job{Cluster: cluster, Job: j}); err != nil {
		t.Fatal(err)
	}
	return s.String(), one.String()
}

// A job that is done says on both pages whether tasks of it went wrong.
func TestPagesTellErrors(t *testing.T) {
	for _, c := range []struct {
		errors, failed uint64
		want           string
	}{
		{0, 0, ""},
		{1, 0, `<span class="bad">1 error</span>`},
		{4, 0, `<span class="bad">4 errors</span>`},
		{0, 2, `<span class="bad">2 failed</span>`},
		{1200, 1, "<span class=\"bad\">1\u202f200 errors, 1 failed</span>"},
	} {
		j := protocol.JobView{
			Job: task.JobID{1}, Name: "<b>genes", State: "done", Replicate: 2,
			Levels: []protocol.LevelView{{Tasks: 2000, Begun: 2000, Released: 2000, Errors: c.errors, Failed: c.failed}},
		}
		status, job := render(t, j)
		for name, page := range map[string]string{"status": status, "job": job} {
			want := `<span class="state done">done</span> ` + c.want
			if c.want == "" {
				want = `<span class="state done">done</span></`
			}
			if !strings.Contains(page, want) {
				t.Errorf("%d errors, %d failed: the %s page lacks %q:\n%s", c.errors, c.failed, name, want, page)
			}
			if strings.Contains(page, "<b>genes") {
				t.Errorf("the %s page shows a name as it is, not escaped", name)
			}
		}
	}
}

func TestPagesCount(t *testing.T) {
	status, _ := render(t, protocol.JobView{State: "running", Replicate: 2})
	for _, want := range []string{
		"<b>1</b> job running", "<b>2</b> jobs done", "<b>1</b> volunteer's machine<", "<b>1</b> task not begun",
		"<b>1\u202f234</b> tasks being computed", "Sheaf: 1 job running, 1 volunteer<", `<code class="id soft">`,
	} {
		if !strings.Contains(strings.ReplaceAll(status, "&#39;", "'"), want) {
			t.Errorf("the status page lacks %q:\n%s", want, status)
		}
	}
}

func TestJobPageSaysHowResultsAreChecked(t *testing.T) {
	for replicate, want := range map[uint8]string{
		1: "Each task is computed once, by one volunteer.",
		2: "Each task is computed by 2 volunteers of different accounts; 2 equal results decide.",
		3: "Each task is computed by up to 3 volunteers of different accounts; 2 equal results decide.",
		5: "Each task is computed by up to 5 volunteers of different accounts; 3 equal results decide.",
	} {
		if _, job := render(t, protocol.JobView{Replicate: replicate}); !strings.Contains(job, want) {
			t.Errorf("%d results: the page lacks %q:\n%s", replicate, want, job)
		}
	}
}

// A page of a node that does not lead says so; one of the leader does not.
func TestStalePagesSaySo(t *testing.T) {
	p, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		stale  bool
		leader task.NodeID
		want   string
	}{{false, "n1", ""}, {true, "n1", "does not lead"}, {true, "", "knows of no leader"}} {
		var status, job bytes.Buffer
		cluster := protocol.ClusterView{Node: "n2", Leader: k.leader}
		if err := errors.Join(p.Status(&status, web.Status{Cluster: cluster, Stale: k.stale}), p.Job(&job, web.Job{Cluster: cluster, Stale: k.stale})); err != nil {
			t.Fatal(err)
		}
		for name, page := range map[string]string{"status": status.String(), "job": job.String()} {
			if says := strings.Contains(page, "n2 shows this"); says != k.stale || !strings.Contains(page, k.want) {
				t.Errorf("stale %t, leader %q: the %s page says so: %t; want %q", k.stale, k.leader, name, says, k.want)
			}
		}
	}
}
