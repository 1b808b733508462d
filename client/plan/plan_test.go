package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func in(d time.Duration) time.Time { return noon.Add(d) }

// open allows everything on two cores.
func open() plan.Rules { return plan.Rules{Cores: 2, Memory: 1 << 30, AllowAll: true} }

func machine() plan.Machine { return plan.Machine{Cores: 8} }

// attempt is number id of project p, due id minutes from now.
func attempt(id int, stage plan.Stage) plan.Attempt {
	return plan.Attempt{ID: task.AttemptID(id), Project: "p", Memory: 1 << 20, Deadline: in(time.Duration(id) * time.Minute), Stage: stage}
}

func stages(list ...plan.Stage) []plan.Attempt {
	var out []plan.Attempt
	for i, s := range list {
		out = append(out, attempt(i+1, s))
	}
	return out
}

// quiet is a contact that is not due.
func quiet() plan.Contact {
	return plan.Contact{NotBefore: in(time.Second), NotAfter: in(time.Minute), Unmet: true, Reason: task.ReasonNoJobs}
}

// did writes actions as a test reads them.
func did(d plan.Decision) string {
	var words []string
	for _, a := range d.Actions {
		w := a.Kind.String()
		if a.Kind == plan.Exchange {
			w += fmt.Sprintf(" for %d", a.Want)
		} else {
			w += fmt.Sprintf(" %d", a.Attempt)
		}
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}

func codes(d plan.Decision) string {
	var words []string
	for _, r := range d.Attempts {
		words = append(words, string(r.Code))
	}
	return strings.Join(words, " ")
}

type situation struct {
	rules   plan.Rules
	machine plan.Machine
	queue   plan.Queue
}

// given is a machine with a quiet contact that holds attempts, and is changed.
func given(attempts []plan.Attempt, change func(*situation)) situation {
	s := situation{open(), machine(), plan.Queue{Attempts: attempts, Contact: quiet()}}
	if change != nil {
		change(&s)
	}
	return s
}

func TestDecide(t *testing.T) {
	const (
		accepted, fetching, ready, running   = plan.StageAccepted, plan.StageFetching, plan.StageReady, plan.StageRunning
		finished, uploading, reportable, out = plan.StageFinished, plan.StageUploading, plan.StageReportable, plan.StageSent
	)
	for _, c := range []struct {
		name  string
		given situation
		does  string
		codes string
		says  plan.Code
	}{
		{"nothing, never called", given(nil, func(s *situation) { s.queue.Contact = plan.Contact{} }), "exchange for 4", "", plan.CodeCalling},
		{"nothing, not due", given(nil, nil), "", "", plan.CodeNoWork},
		{"nothing, due", given(nil, func(s *situation) { s.queue.Contact.NotAfter = noon; s.queue.Contact.NotBefore = noon }), "exchange for 4", "", plan.CodeNoWork},
		{"asked to wait longer than it was to wait at most", given(nil, func(s *situation) { s.queue.Contact.NotAfter = noon }), "", "", plan.CodeNoWork},
		{"a call is on its way", given(stages(reportable), func(s *situation) { s.queue.Contact = plan.Contact{Busy: true} }), "", "reporting", plan.CodeCalling},
		{"room, and the last call brought all", given(nil, func(s *situation) { s.queue.Contact.Unmet = false; s.queue.Contact.NotBefore = noon }), "exchange for 4", "", plan.CodeNoWork},
		{"room, but asked to wait", given(nil, func(s *situation) { s.queue.Contact.Unmet = false }), "", "", plan.CodeNoWork},

		{"fetches what the cores need", given(stages(accepted, accepted, accepted), nil), "fetch 1, fetch 2", "preparing preparing waiting", plan.CodePreparing},
		{"starts in the order of deadlines", given([]plan.Attempt{attempt(9, ready), attempt(3, ready), attempt(5, ready)}, nil), "start 3, start 5", "waiting computing computing", plan.CodeComputing},
		{"fetches behind what runs", given(stages(running, running, accepted, accepted, accepted), nil), "fetch 3, fetch 4", "computing computing preparing preparing waiting", plan.CodeComputing},
		{"what is being stopped holds its core", given([]plan.Attempt{{ID: 1, Project: "p", Stage: running, Stopping: true}, attempt(2, running), attempt(3, ready)}, nil), "", "stopping computing waiting", plan.CodeComputing},
		{"a fetch that failed waits", given([]plan.Attempt{{ID: 1, Project: "p", Deadline: in(time.Hour), RetryAt: in(time.Second)}}, nil), "", "retry", plan.CodePreparing},
		{"a reserve is kept", given(stages(running, running, ready, ready), func(s *situation) { s.queue.Contact.Unmet, s.queue.Contact.NotBefore = false, noon }), "", "computing computing waiting waiting", plan.CodeComputing},

		{"reports", given(stages(reportable, running), func(s *situation) { s.queue.Contact.NotBefore = noon }), "exchange for 3", "reporting computing", plan.CodeComputing},
		{"uploads before it reports", given(stages(finished, uploading, out), nil), "upload 1", "uploading uploading reporting", plan.CodeNoWork},

		{"paused", given(stages(accepted, fetching, ready, running, finished, reportable), func(s *situation) { s.rules.Paused = true; s.queue.Contact.NotBefore = noon }), "stop 4, stop 2, upload 5, exchange for 0", "paused paused paused paused uploading reporting", plan.CodePaused},
		{"fewer cores", given(stages(running, running, ready), func(s *situation) { s.rules.Cores = 1 }), "stop 2", "computing too_many waiting", plan.CodeComputing},
		{"no cores", given(stages(running), func(s *situation) { s.rules.Cores = 0 }), "stop 1", "no_cores", plan.CodeNoCores},
		{"no memory", given(stages(ready), func(s *situation) { s.rules.Memory = 0 }), "", "no_memory", plan.CodeNoMemory},
		{"more cores than there are", given(stages(ready, ready, ready), func(s *situation) { s.rules.Cores, s.machine.Cores = 100, 1 }), "start 1", "computing waiting waiting", plan.CodeComputing},
		{"in trouble", given(stages(running, ready, accepted), func(s *situation) { s.machine.Trouble, s.machine.TroubleUntil = "The disk is full.", in(time.Minute) }), "", "computing trouble trouble", plan.CodeTrouble},
		{"trouble is over", given(stages(ready), func(s *situation) { s.machine.Trouble, s.machine.TroubleUntil = "The disk is full.", noon }), "start 1", "computing", plan.CodeComputing},
		{"finishing", given(stages(running, accepted), func(s *situation) {
			s.rules.Finishing = true
			s.queue.Contact.NotAfter, s.queue.Contact.NotBefore = noon, noon
		}), "fetch 2, exchange for 0", "computing preparing", plan.CodeComputing},
		{"nobody answers", given(nil, func(s *situation) {
			s.queue.Contact = plan.Contact{Busy: true, Trouble: "No coordinator answers."}
		}), "", "", plan.CodeNoContact},

		{"cancelled", given([]plan.Attempt{{ID: 1, Project: "p", Stage: running, Cancelled: true}, {ID: 2, Project: "p", Stage: finished, Cancelled: true}, {ID: 3, Project: "p", Stage: reportable, Cancelled: true}, attempt(4, ready)}, nil), "forget 1, forget 2, start 4", "cancelled cancelled reporting computing", plan.CodeComputing},
		{"overdue", given([]plan.Attempt{{ID: 1, Project: "p", Deadline: noon}, {ID: 2, Project: "p", Deadline: noon, Stage: running}}, nil), "forget 1", "expired computing", plan.CodeComputing},
		{"too large", given([]plan.Attempt{{ID: 1, Project: "p", Memory: 2 << 30, Deadline: in(1)}}, func(s *situation) { s.queue.Contact.NotBefore = noon }), "give back 1, exchange for 4", "memory", plan.CodeNoWork},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := plan.Decide(noon, c.given.rules, c.given.machine, c.given.queue)
			if got := did(d); got != c.does {
				t.Errorf("does %q, want %q", got, c.does)
			}
			if got := codes(d); got != c.codes {
				t.Errorf("its attempts are %q, want %q", got, c.codes)
			}
			if d.Reason.Code != c.says {
				t.Errorf("says %q (%s), want %q", d.Reason.Code, d.Reason.Text, c.says)
			}
			checkReasons(t, d)
		})
	}
}

func checkReasons(tb testing.TB, d plan.Decision) {
	tb.Helper()
	all := append([]plan.Reason{d.Reason}, d.Attempts...)
	for _, a := range d.Actions {
		all = append(all, a.Reason)
	}
	for _, r := range all {
		if r.Code == "" || !strings.HasSuffix(r.Text, ".") || strings.Contains(r.Text, "%!") {
			tb.Errorf("reason %q is no sentence: %q", r.Code, r.Text)
		}
	}
}

// V2: nothing of a project that the rules do not allow is fetched or begun, and
// what is not known counts as no.
func TestV2NothingWithoutConsent(t *testing.T) {
	for name, c := range map[string]struct {
		project string
		rules   plan.Rules
		machine plan.Machine
	}{
		"a project that is not listed":     {"q", plan.Rules{Cores: 1, Memory: 1 << 30, Allow: []string{"p"}}, machine()},
		"a project without a name":         {"", plan.Rules{Cores: 1, Memory: 1 << 30, AllowAll: true}, machine()},
		"no project is listed":             {"p", plan.Rules{Cores: 1, Memory: 1 << 30}, machine()},
		"no name listed, none signed":      {"", plan.Rules{Cores: 1, Memory: 1 << 30, Allow: []string{""}}, machine()},
		"rules that nobody made":           {"p", plan.Rules{}, machine()},
		"a machine nobody knows":           {"p", open(), plan.Machine{}},
		"paused":                           {"p", plan.Rules{Paused: true, Cores: 1, Memory: 1 << 30, AllowAll: true}, machine()},
		"a name that differs in its case":  {"P", plan.Rules{Cores: 1, Memory: 1 << 30, Allow: []string{"p"}}, machine()},
		"a name that begins like another":  {"pp", plan.Rules{Cores: 1, Memory: 1 << 30, Allow: []string{"p"}}, machine()},
		"more memory than the owner gives": {"p", plan.Rules{Cores: 1, Memory: 1, AllowAll: true}, machine()},
	} {
		for stage := plan.StageAccepted; stage <= plan.StageRunning; stage++ {
			a := attempt(1, stage)
			a.Project = c.project
			d := plan.Decide(noon, c.rules, c.machine, plan.Queue{Attempts: []plan.Attempt{a}, Contact: quiet()})
			for _, x := range d.Actions {
				if x.Kind == plan.Fetch || x.Kind == plan.Start {
					t.Errorf("V2: %s, %s: it is to %s", name, stage, x.Kind)
				}
			}
			if stopped := len(d.Actions) > 0; stage == plan.StageRunning && !stopped {
				t.Errorf("V2: %s: it runs on", name)
			}
		}
	}
}

func TestV2Allows(t *testing.T) {
	all, listed, none := plan.Rules{AllowAll: true}, plan.Rules{Allow: []string{"p", ""}}, plan.Rules{}
	for _, c := range []struct {
		rules   plan.Rules
		project string
		want    bool
	}{{all, "p", true}, {all, "", false}, {listed, "p", true}, {listed, "q", false}, {listed, "", false}, {none, "p", false}} {
		if got := c.rules.Allows(c.project); got != c.want {
			t.Errorf("V2: %+v allows %q: %t", c.rules, c.project, got)
		}
	}
}

func TestFinishes(t *testing.T) {
	rules := open()
	rules.Finishing = true
	for name, c := range map[string]struct {
		queue plan.Queue
		done  bool
	}{
		"nothing held":       {plan.Queue{Contact: quiet()}, true},
		"never called":       {plan.Queue{}, true},
		"an answer is due":   {plan.Queue{Contact: plan.Contact{Busy: true}}, false},
		"a task runs":        {plan.Queue{Attempts: stages(plan.StageRunning), Contact: quiet()}, false},
		"a report is unsent": {plan.Queue{Attempts: stages(plan.StageReportable), Contact: quiet()}, false},
	} {
		if d := plan.Decide(noon, rules, machine(), c.queue); d.Done != c.done || d.Done && len(d.Actions) > 0 {
			t.Errorf("%s: done %t (%s), %s; want %t", name, d.Done, d.Reason.Text, did(d), c.done)
		}
	}
}

func TestWake(t *testing.T) {
	retry := attempt(5, plan.StageAccepted)
	retry.RetryAt = in(3 * time.Second)
	for name, c := range map[string]struct {
		given situation
		want  time.Time
	}{
		"the latest call":      {given(nil, nil), in(time.Minute)},
		"the earliest call":    {given(stages(plan.StageReportable), nil), in(time.Second)},
		"a deadline":           {given([]plan.Attempt{{ID: 1, Project: "p", Deadline: in(7 * time.Second)}}, nil), in(7 * time.Second)},
		"a retry":              {given([]plan.Attempt{retry}, nil), in(3 * time.Second)},
		"the end of a trouble": {given(nil, func(s *situation) { s.machine.Trouble, s.machine.TroubleUntil = "Full.", in(2*time.Second) }), in(2 * time.Second)},
		"nothing but an event": {given(stages(plan.StageRunning), func(s *situation) { s.queue.Contact.Busy = true }), time.Time{}},
	} {
		if d := plan.Decide(noon, c.given.rules, c.given.machine, c.given.queue); !d.Wake.Equal(c.want) {
			t.Errorf("%s: wakes at %v, want %v", name, d.Wake, c.want)
		}
	}
}

func TestRulesAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		rules plan.Rules
		ok    bool
	}{
		"none":                {plan.Rules{}, true},
		"usual":               {plan.Rules{Cores: 4, Memory: 1 << 30, Allow: []string{"primes", "digits"}}, true},
		"negative cores":      {plan.Rules{Cores: -1}, false},
		"absurd cores":        {plan.Rules{Cores: 1 << 20}, false},
		"a name that is none": {plan.Rules{Allow: []string{"Not A Name"}}, false},
		"too many names":      {plan.Rules{Allow: strings.Fields(strings.Repeat("a ", 2000))}, false},
	} {
		if err := c.rules.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAfterReply(t *testing.T) {
	one := []protocol.Attempt{{ID: 1}}
	for name, c := range map[string]struct {
		reply        protocol.ExchangeReply
		after, next  time.Duration
		want         int
		unmet, quiet bool
	}{
		"as asked":                {protocol.ExchangeReply{AfterMillis: 2000, NextMillis: 9000, Attempts: one}, 2 * time.Second, 9 * time.Second, 1, false, false},
		"less than wanted":        {protocol.ExchangeReply{AfterMillis: 2000, NextMillis: 9000, Attempts: one}, 2 * time.Second, 9 * time.Second, 2, true, false},
		"nothing, at once":        {protocol.ExchangeReply{}, time.Second, time.Second, 1, true, false},
		"something, at once":      {protocol.ExchangeReply{Acks: []protocol.Ack{1}}, 50 * time.Millisecond, time.Second, 0, false, false},
		"next before after":       {protocol.ExchangeReply{AfterMillis: 5000, NextMillis: 1}, 5 * time.Second, 5 * time.Second, 0, false, false},
		"in seven weeks":          {protocol.ExchangeReply{AfterMillis: 1<<32 - 1, NextMillis: 1<<32 - 1}, time.Hour, time.Hour, 0, false, false},
		"the reason is passed on": {protocol.ExchangeReply{AfterMillis: 1000, NextMillis: 1000, Reason: task.ReasonMemory}, time.Second, time.Second, 1, true, false},
	} {
		got := plan.AfterReply(noon, c.want, &c.reply)
		want := plan.Contact{NotBefore: in(c.after), NotAfter: in(c.next), Unmet: c.unmet, Reason: c.reply.Reason}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	last := time.Duration(0)
	for times := range 100 {
		c := plan.AfterRefusal(noon, times, 0, "No.")
		pause := c.NotBefore.Sub(noon)
		if pause < last || pause < time.Second || pause > time.Hour || c.NotAfter != c.NotBefore || c.Trouble != "No." {
			t.Fatalf("refusal %d: %+v after a pause of %v", times, c, last)
		}
		last = pause
	}
	if c := plan.AfterRefusal(noon, 1, time.Minute, ""); c.NotBefore != in(time.Minute) {
		t.Errorf("the advice of a minute became %v", c.NotBefore.Sub(noon))
	}
}
