package coordinatortest_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"

	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// send makes one HTTP request and returns the answer's status and body.
func send(t *testing.T, c *coordinatortest.Cluster, method, path string, body []byte, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.Nodes[0].URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestGarbageIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		random := make([]byte, 5000)
		_, _ = rand.Read(random)
		p := c.NewPublisher(1, program(t))
		job := p.Submit(spec(t, 5, 1))
		for _, k := range []struct {
			name, method, path string
			body               []byte
			want               int
		}{
			{"random bytes", "POST", protocol.PathRequests, random, 400},
			{"nothing", "POST", protocol.PathRequests, nil, 400},
			{"json", "POST", protocol.PathRequests, []byte(`{"job": 1}`), 400},
			{"too large", "POST", protocol.PathRequests, make([]byte, protocol.MaxEnvelope+1), 413},
			{"a reply as a request", "POST", protocol.PathRequests, (&protocol.Reply{}).Encode(), 400},
			{"reading requests", "GET", protocol.PathRequests, nil, 405},
			{"no such page", "GET", "/v1/nothing", nil, 404},
			{"a digest that is none", "GET", protocol.PathBlobs + "xyz", nil, 400},
			{"a blob that is not there", "GET", protocol.PathBlobs + task.Digest{1}.String(), nil, 404},
			{"a job that is none", "GET", protocol.PathJobs + "/../../etc/passwd", nil, 404},
			{"an unknown job", "GET", protocol.PathJobs + "/aaaaaaaaaaaaaaaa", nil, 404},
			{"a level that is none", "GET", protocol.JobPath(job) + "/levels/7/results", nil, 404},
			{"a level that is text", "GET", protocol.JobPath(job) + "/levels/x/results", nil, 400},
			{"a page of 10^9 rows", "GET", protocol.JobPath(job) + "/levels/0/results?limit=1000000000", nil, 400},
			{"a page from nowhere", "GET", protocol.JobPath(job) + "/levels/0/results?from=-1", nil, 400},
			{"an output before its release", "GET", protocol.OutputPath(job, 0, 0, 0), nil, 404},
			{"uploading unsigned", "PUT", protocol.PathBlobs + task.EmptyDigest.String(), nil, 401},
			{"asking for peers' blobs", "GET", "/internal/v1/outputs/" + task.EmptyDigest.String(), nil, 404},
			{"joining at the clients' port", "POST", "/internal/v1/join", []byte(`{"node":"x"}`), 404},
			{"admission at the clients' port", "POST", "/internal/v1/admit", []byte(`{"node":"x"}`), 404},
			{"an unknown job's page", "GET", "/jobs/aaaaaaaaaaaaaaaa", nil, 404},
		} {
			if got, body := send(t, c, k.method, k.path, k.body); got != k.want {
				t.Errorf("%s: status %d, want %d: %.200s", k.name, got, k.want, body)
			}
		}
		c.Check()
	})
}

// upload sends bytes under a digest with a good signature of a publisher.
func upload(t *testing.T, c *coordinatortest.Cluster, p *coordinatortest.Publisher, digest task.Digest, body []byte, header ...string) int {
	t.Helper()
	sig := protocol.EncodeSignature(protocol.SignUpload(p.Key, task.ClusterID{0xc1}, digest))
	status, _ := send(t, c, "PUT", protocol.PathBlobs+digest.String(), body,
		append([]string{protocol.HeaderKey, p.Public().String(), protocol.HeaderSignature, sig}, header...)...)
	return status
}

func TestUploadsAreVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1)
		plain := []byte(strings.Repeat("a blob of text\n", 1000))
		z, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		packed := z.EncodeAll(plain, nil)
		wide := z.EncodeAll(make([]byte, 64<<20), nil) // a window of 8 MiB
		if z, err = zstd.NewWriter(nil, zstd.WithWindowSize(1<<20)); err != nil {
			t.Fatal(err)
		}
		bomb := z.EncodeAll(make([]byte, 64<<20), nil)
		digest := task.Sum(plain)
		size := fmt.Sprint(len(plain))
		for _, k := range []struct {
			name   string
			want   int
			digest task.Digest
			body   []byte
			header []string
		}{
			{"compressed", 204, digest, packed, []string{"Content-Encoding", "zstd", protocol.HeaderSize, size}},
			{"once more, plain", 204, digest, plain, nil},
			{"other bytes", 422, digest, plain[1:], nil},
			{"another size than it is", 422, digest, packed, []string{"Content-Encoding", "zstd", protocol.HeaderSize, "5"}},
			{"no size", 400, digest, packed, []string{"Content-Encoding", "zstd"}},
			{"not zstd", 400, digest, plain, []string{"Content-Encoding", "zstd", protocol.HeaderSize, size}},
			{"gzip", 400, digest, plain, []string{"Content-Encoding", "gzip"}},
			{"too wide a window", 400, digest, wide, []string{"Content-Encoding", "zstd", protocol.HeaderSize, size}},
			{"a bomb", 422, digest, bomb, []string{"Content-Encoding", "zstd", protocol.HeaderSize, size}},
		} {
			if got := upload(t, c, p, k.digest, k.body, k.header...); got != k.want {
				t.Errorf("%s: status %d, want %d", k.name, got, k.want)
			}
		}
		if status, got := send(t, c, "GET", protocol.PathBlobs+digest.String(), nil, "Range", "bytes=15-29"); status != 206 || got != "a blob of text\n" {
			t.Errorf("a range came as %d %q", status, got)
		}
		c.Kill(c.Nodes[1])
		c.Kill(c.Nodes[2])
		if got := upload(t, c, p, task.Sum([]byte("alone")), []byte("alone")); got == 204 {
			t.Error("R1: a blob was acknowledged by a minority")
		}
	})
}

// Pages show what there is, to anybody, whatever strangers call themselves.
func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		if status, page := send(t, c, "GET", "/", nil); status != 200 || !strings.Contains(page, "No job has been submitted yet") || !strings.Contains(page, "Nobody has joined yet") {
			t.Errorf("an empty cluster's page: %d %.300s", status, page)
		}
		p := c.NewPublisher(1, program(t))
		s := spec(t, 4, 2)
		s.Name = `<script>alert("x")</script>`
		id := p.Submit(s)
		hosts := []*coordinatortest.Host{c.NewHost(1, honest), c.NewHost(2, honest)}
		hosts[0].Contact(4)
		for _, path := range []string{"/", "/?every=5", "/jobs/" + id.String()} {
			status, page := send(t, c, "GET", path, nil)
			if status != 200 || strings.Contains(page, "<script") || !strings.Contains(page, "&lt;script&gt;") {
				t.Errorf("%s: status %d, or a name that is markup", path, status)
			}
			if strings.Contains(path, "every") != strings.Contains(page, `http-equiv="refresh"`) {
				t.Errorf("%s: refreshes itself, or does not", path)
			}
		}
		work(t, c, id, hosts, nil)
		_, page := send(t, c, "GET", "/jobs/"+id.String(), nil)
		if v := c.Job(id); !strings.Contains(page, v.ResultRoot.String()) {
			t.Error("the root of a job that is done is not on its page")
		}
		status, _ := send(t, c, "GET", "/assets/style.css", nil)
		if ready, _ := send(t, c, "GET", "/readyz", nil); status != 200 || ready != 200 {
			t.Errorf("style sheet %d, readiness %d", status, ready)
		}
	})
}

// The publisher of a job sees how it stands; nobody else does, whatever they
// sign.
func TestOnlyThePublisherSeesProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		p, other := c.NewPublisher(1, program(t)), c.NewPublisher(2)
		id := p.Submit(spec(t, 4, 2))
		path := protocol.JobPath(id)
		var view protocol.ClusterView
		c.GetJSON(protocol.PathCluster, &view)
		read := func(key *coordinatortest.Publisher, at task.Millis, signed string) string {
			sig := protocol.EncodeSignature(protocol.SignRead(key.Key, view.Cluster, signed, at))
			_, body := send(t, c, "GET", path, nil, protocol.HeaderKey, key.Public().String(), protocol.HeaderTime, fmt.Sprint(at), protocol.HeaderSignature, sig)
			return body
		}
		if !strings.Contains(read(p, view.Time, path), `"progress"`) {
			t.Error("the publisher does not see the progress")
		}
		for name, body := range map[string]string{
			"another account": read(other, view.Time, path), "another path": read(p, view.Time, "/v1/jobs"),
			"an old signature": read(p, view.Time-protocol.ReadWindow-1000, path), "one to come": read(p, view.Time+2*protocol.ReadWindow, path),
		} {
			if strings.Contains(body, `"progress"`) || !strings.Contains(body, `"running"`) {
				t.Errorf("%s: got %s", name, body)
			}
		}
	})
}
