package coordinatortest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Party is somebody with a key who sends numbered requests: a host or an
// account.
type Party struct {
	c       *Cluster
	Key     ed25519.PrivateKey
	session task.SessionID
	opened  task.Millis
	number  uint64
	via     int // the node it asks first
}

// NewParty makes a party with a key made of n.
func (c *Cluster) NewParty(n int) *Party {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, fmt.Sprintf("party %d", n))
	return &Party{c: c, Key: ed25519.NewKeyFromSeed(seed), session: task.SessionID(n + 1), via: n}
}

// Read reads what only the party may see, from any node that answers.
func (p *Party) Read(path string, into any) {
	p.c.TB.Helper()
	var v protocol.ClusterView
	p.c.GetJSON(protocol.PathCluster, &v)
	h := http.Header{}
	h.Set(protocol.HeaderKey, p.Public().String())
	h.Set(protocol.HeaderTime, fmt.Sprint(int64(v.Time)))
	h.Set(protocol.HeaderSignature, protocol.EncodeSignature(protocol.SignRead(p.Key, clusterID, path, v.Time)))
	var last error
	for i := range 200 {
		b, err := p.c.do(http.MethodGet, p.c.Nodes[i%len(p.c.Nodes)].URL+path, nil, h)
		if err == nil {
			if err := json.Unmarshal(b, into); err != nil {
				p.c.TB.Fatalf("GET %s: %v in %s", path, err, b)
			}
			return
		}
		last = err
		time.Sleep(50 * time.Millisecond)
	}
	p.c.TB.Fatalf("GET %s: %v", path, last)
}

// Public is the party's public key.
func (p *Party) Public() task.Key { return protocol.PublicKey(p.Key) }

// Envelope makes and signs the party's next request.
func (p *Party) Envelope(purpose protocol.Purpose, payload any) *protocol.Envelope {
	if p.number == 0 {
		var v protocol.ClusterView
		p.c.GetJSON(protocol.PathCluster, &v)
		p.opened = v.Time
	}
	p.number++
	e := &protocol.Envelope{
		Version: protocol.Version, Cluster: clusterID, Session: p.session, Opened: p.opened,
		Number: p.number, Purpose: purpose, Payload: wire.Marshal(payload),
	}
	e.Sign(p.Key)
	return e
}

// Send sends a request, through one node after the other, until it is
// answered. A refusal that is not temporary is an answer.
func (p *Party) Send(e *protocol.Envelope) *protocol.Reply {
	p.c.TB.Helper()
	for range 400 {
		r, err := p.Try(e, p.via)
		if err == nil && (r.Error == nil || !r.Error.Temporary()) {
			return r
		}
		p.via++
		time.Sleep(50 * time.Millisecond)
	}
	p.c.TB.Fatal("no node answered for 20 s")
	return nil
}

// Try sends a request to one node once.
func (p *Party) Try(e *protocol.Envelope, node int) (*protocol.Reply, error) {
	url := p.c.Nodes[node%len(p.c.Nodes)].URL
	res, err := p.c.do(http.MethodPost, url+protocol.PathRequests, e.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return protocol.DecodeReply(res)
}

// Do sends a new request and fails the test if it is refused.
func (p *Party) Do(purpose protocol.Purpose, payload any) *protocol.Reply {
	p.c.TB.Helper()
	r := p.Send(p.Envelope(purpose, payload))
	if r.Error != nil {
		p.c.TB.Fatalf("purpose %d: %v", purpose, r.Error)
	}
	return r
}

// do sends one HTTP request and returns the body of the answer.
func (c *Cluster) do(method, url string, body []byte, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	res, err := c.Client().Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 && res.Header.Get("Content-Type") != protocol.ContentType {
		err = fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(b))
	}
	return b, err
}

// GetJSON reads a JSON view, from any node that answers.
func (c *Cluster) GetJSON(path string, into any) {
	c.TB.Helper()
	b := c.Get(path)
	if err := json.Unmarshal(b, into); err != nil {
		c.TB.Fatalf("GET %s: %v in %s", path, err, b)
	}
}

// Get reads a path, from any node that answers.
func (c *Cluster) Get(path string) []byte {
	c.TB.Helper()
	var last error
	for i := range 200 {
		b, err := c.do(http.MethodGet, c.Nodes[i%len(c.Nodes)].URL+path, nil, nil)
		if err == nil {
			return b
		}
		last = err
		time.Sleep(50 * time.Millisecond)
	}
	c.TB.Fatalf("GET %s: %v", path, last)
	return nil
}

// Upload stores a blob under /v1/blobs/ or /v1/outputs/.
func (p *Party) Upload(path string, b []byte) error {
	digest := task.Sum(b)
	h := http.Header{}
	h.Set(protocol.HeaderKey, p.Public().String())
	h.Set(protocol.HeaderSignature, protocol.EncodeSignature(protocol.SignUpload(p.Key, clusterID, digest)))
	var last error
	for i := range 100 {
		if _, last = p.c.do(http.MethodPut, p.c.Nodes[(p.via+i)%len(p.c.Nodes)].URL+path+digest.String(), b, h); last == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return last
}

// Host is a simulated volunteer. Compute makes the outputs of a task; a nil
// Compute holds what it is given and returns nothing.
type Host struct {
	*Party
	Compute func(t *task.Task) (task.Exit, map[string]string)
	Facts   protocol.HostFacts
	Acked   []Acked // reports that a coordinator acknowledged as accepted
	held    []protocol.Attempt
}

// Acked is an acknowledged result.
type Acked struct {
	Job    task.JobID
	Level  uint8
	Index  uint64
	Host   task.Key
	Output task.Digest
}

// NewHost enrols host n of an account of its own.
func (c *Cluster) NewHost(n int, compute func(t *task.Task) (task.Exit, map[string]string)) *Host {
	c.TB.Helper()
	h := &Host{Party: c.NewParty(1000 + n), Compute: compute, Facts: facts()}
	account := c.NewParty(2000 + n)
	h.Do(protocol.PurposeEnrol, protocol.Enrol{
		Account: account.Public(), AccountName: fmt.Sprint("account-", n), HostName: fmt.Sprint("host-", n),
		Certificate: protocol.Certify(account.Key, h.Public()), Facts: facts(),
	})
	return h
}

func facts() protocol.HostFacts {
	return protocol.HostFacts{Client: "test", OS: "linux", Arch: "amd64", Cores: 2, Memory: 1 << 30}
}

// Contact is one exchange: it returns what the host holds, computed, and
// takes up to want new attempts.
func (h *Host) Contact(want int) *protocol.ExchangeReply {
	h.c.TB.Helper()
	e, reported := h.Prepare(want)
	return h.Finish(h.Send(e), reported)
}

// Prepare makes the host's next exchange without sending it.
func (h *Host) Prepare(want int) (*protocol.Envelope, []protocol.Attempt) {
	h.c.TB.Helper()
	x := protocol.Exchange{Want: uint16(want), AllowAll: true, Facts: h.Facts}
	var reported []protocol.Attempt
	for _, a := range h.held {
		if h.Compute == nil {
			x.Held = append(x.Held, a.ID)
			continue
		}
		x.Reports = append(x.Reports, h.report(&a))
		reported = append(reported, a)
	}
	return h.Envelope(protocol.PurposeExchange, x), reported
}

// Finish takes the answer to what Prepare made.
func (h *Host) Finish(r *protocol.Reply, reported []protocol.Attempt) *protocol.ExchangeReply {
	h.c.TB.Helper()
	if r.Error != nil {
		h.c.TB.Fatal(r.Error)
	}
	for i, ack := range r.Exchange.Acks {
		a := reported[i]
		if ack == protocol.AckAccepted {
			exit, outputs := h.Compute(&a.Task)
			list, _ := outputList(exit, outputs)
			h.Acked = append(h.Acked, Acked{Job: a.Task.Job, Level: a.Task.Level, Index: a.Task.Index, Host: h.Public(), Output: list.Digest()})
		}
	}
	h.held = slices.DeleteFunc(h.held, func(a protocol.Attempt) bool {
		return slices.ContainsFunc(reported, func(b protocol.Attempt) bool { return a.ID == b.ID }) || slices.Contains(r.Exchange.Cancel, a.ID)
	})
	for _, a := range r.Exchange.Attempts {
		if a.Task.Sum() != a.Sum || !a.Version.Verify(a.Task.Program, a.Task.Meter) {
			h.c.TB.Errorf("T1: attempt %d does not verify", a.ID)
		}
		h.held = append(h.held, a)
	}
	return r.Exchange
}

// Forget makes the host lose everything it holds.
func (h *Host) Forget() { h.held = nil }

// Holds is how many attempts the host holds.
func (h *Host) Holds() int { return len(h.held) }

func (h *Host) report(a *protocol.Attempt) protocol.Report {
	exit, outputs := h.Compute(&a.Task)
	list, contents := outputList(exit, outputs)
	r := protocol.Report{Attempt: a.ID, Task: a.Task.Sum(), Exit: exit, Work: 5_000_000, Outputs: list.Encode(), Inline: contents}
	if list.Size() > protocol.MaxInline {
		r.Inline = nil
		for _, b := range contents {
			if err := h.Upload(protocol.OutputsPath(a.ID), b); err != nil {
				h.c.TB.Fatal(err)
			}
		}
	}
	return r
}

// outputList lists outputs by name and returns their bytes in that order.
func outputList(exit task.Exit, outputs map[string]string) (list task.OutputList, contents [][]byte) {
	if exit.Trap() {
		return task.OutputList{}, nil
	}
	for name, text := range outputs {
		list = append(list, task.OutputFile{Name: name, Size: int64(len(text)), Digest: task.Sum([]byte(text))})
	}
	list.Sort()
	for _, f := range list {
		contents = append(contents, []byte(outputs[f.Name]))
	}
	return list, contents
}

// Publisher is a simulated publisher with a project of its own.
type Publisher struct {
	*Party
	Project string
}

// NewPublisher makes publisher n with a project and publishes programs for it.
func (c *Cluster) NewPublisher(n int, programs ...[]byte) *Publisher {
	c.TB.Helper()
	p := &Publisher{Party: c.NewParty(3000 + n), Project: fmt.Sprint("project-", n)}
	p.Do(protocol.PurposeCreateProject, protocol.CreateProject{Name: p.Project})
	for i, program := range programs {
		if err := p.Upload(protocol.PathBlobs, program); err != nil {
			c.TB.Fatal(err)
		}
		digest, app := task.Sum(program), fmt.Sprint("app-", i)
		p.Do(protocol.PurposePublish, protocol.Publish{
			Project: p.Project, App: app, Program: digest, Meter: 1,
			Signature: protocol.SignVersion(p.Key, p.Project, app, digest, 1),
		})
	}
	return p
}

// Submit submits a job.
func (p *Publisher) Submit(spec *task.JobSpec) task.JobID {
	p.c.TB.Helper()
	return p.Do(protocol.PurposeSubmit, protocol.Submit{Project: p.Project, Spec: protocol.EncodeSpec(spec)}).Done.Job
}

// Job is a job's public view.
func (c *Cluster) Job(id task.JobID) (v protocol.JobView) {
	c.TB.Helper()
	c.GetJSON(protocol.JobPath(id), &v)
	return v
}

// Lost compares what hosts were told was accepted with what a finished job's
// attempts say, and returns what is missing or credited twice.
func (c *Cluster) Lost(id task.JobID, hosts ...*Host) (lost, twice int, err error) {
	c.TB.Helper()
	type place struct {
		level uint8
		index uint64
		host  task.Key
	}
	have := map[place]task.Digest{}
	credited := map[place]int{}
	job := c.Job(id)
	for _, l := range job.Levels {
		for from, done := uint64(0), false; !done; {
			var page protocol.AttemptPage
			c.GetJSON(protocol.AttemptsPath(id, l.Level, from, protocol.MaxPage), &page)
			for _, a := range page.Attempts {
				at := place{l.Level, a.Index, a.Host}
				if a.State == "valid" || a.State == "wrong" || a.State == "reported" {
					have[at] = a.Output
				}
				if a.Credit > 0 {
					credited[at]++
				}
			}
			from, done = page.Next, page.Done
		}
	}
	for _, h := range hosts {
		for _, a := range h.Acked {
			if a.Job == id && have[place{a.Level, a.Index, a.Host}] != a.Output {
				lost++
				err = errors.Join(err, fmt.Errorf("R1: the result of task %d, level %d, by %s was accepted and is gone", a.Index, a.Level, a.Host))
			}
		}
	}
	for at, n := range credited {
		if n > 1 {
			twice++
			err = errors.Join(err, fmt.Errorf("C1: task %d of level %d was credited %d times to %s", at.index, at.level, n, at.host))
		}
	}
	return lost, twice, err
}
