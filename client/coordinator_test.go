package client_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

var cluster = task.ClusterID{1, 2, 3}

func privateKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

// publisher signs the programs of the tests.
var publisher = privateKey(100)

// coordinator is a cluster of one, by the letter of the protocol: it checks
// what it is sent, carries out each number once, and repeats answers.
type coordinator struct {
	t     testing.TB
	began time.Time

	mu       sync.Mutex
	enrolled map[task.Key]protocol.Enrol
	sessions map[task.SessionID]*session
	waiting  []protocol.Attempt // to be given to whoever asks
	given    map[task.AttemptID]protocol.Attempt
	open     map[task.AttemptID]bool // given, and not reported
	reports  map[task.AttemptID]protocol.Report
	cancel   []task.AttemptID
	blobs    map[task.Digest][]byte
	uploads  map[task.Digest][]byte
	frames   [][]byte // as they came
	lost     []task.AttemptID
	nextID   task.AttemptID

	exchanges int           // carried out
	changed   chan struct{} // closed, and made anew, after each request that was carried out

	after, next uint32
	members     []protocol.Member

	// before may answer in its place: return true. lose says that a request is
	// carried out and its answer lost.
	before func(w http.ResponseWriter, e *protocol.Envelope) bool
	lose   func(e *protocol.Envelope) bool
	refuse func(r *protocol.Report) protocol.Ack // of a report; 0: none
}

type session struct {
	last  uint64
	sum   task.Digest
	reply []byte
}

func newCoordinator(t testing.TB) *coordinator {
	return &coordinator{
		t: t, began: time.Now(), after: 100, next: 2000,
		enrolled: map[task.Key]protocol.Enrol{}, sessions: map[task.SessionID]*session{},
		given: map[task.AttemptID]protocol.Attempt{}, open: map[task.AttemptID]bool{}, reports: map[task.AttemptID]protocol.Report{},
		blobs: map[task.Digest][]byte{}, uploads: map[task.Digest][]byte{}, changed: make(chan struct{}),
	}
}

// program stores a program and returns its digest.
func (c *coordinator) blob(b []byte) task.Digest {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blobs[task.Sum(b)] = b
	return task.Sum(b)
}

// task queues a task that runs a program with arguments, changed at will, and
// returns its attempt's number.
func (c *coordinator) task(program task.Digest, change func(*protocol.Attempt), args ...string) task.AttemptID {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nextID++
	a := protocol.Attempt{
		ID: c.nextID, DeadlineMillis: 3_600_000,
		Task: task.Task{
			Job: task.JobID{7}, Index: uint64(c.nextID), Program: program, Meter: 1, Args: args, Seed: 9,
			Limits: task.Limits{Work: 1e9, Memory: 1 << 20, Output: 1 << 20, Wall: 60_000, Deadline: 3_600_000},
		},
		Version: protocol.Signed{Project: "primes", App: "count", Publisher: protocol.PublicKey(publisher)},
	}
	sign(&a)
	if change != nil {
		change(&a)
	}
	c.waiting = append(c.waiting, a)
	return a.ID
}

// sign makes an attempt's checksum and signature right.
func sign(a *protocol.Attempt) {
	a.Sum = a.Task.Sum()
	a.Version.Signature = protocol.SignVersion(publisher, a.Version.Project, a.Version.App, a.Task.Program, a.Task.Meter)
}

func (c *coordinator) now() task.Millis {
	return 1_000_000 + task.Millis(time.Since(c.began)/time.Millisecond)
}

func (c *coordinator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == protocol.PathCluster:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(protocol.ClusterView{Cluster: cluster, Protocol: protocol.Version, Time: c.now(), Node: "a", Leader: "a", Members: c.members})
	case r.URL.Path == protocol.PathRequests:
		c.request(w, r)
	case strings.HasPrefix(r.URL.Path, protocol.PathBlobs):
		c.sendBlob(w, r)
	case strings.HasPrefix(r.URL.Path, protocol.PathOutputs):
		c.takeOutput(w, r)
	default:
		http.NotFound(w, r)
	}
}

func fail(w http.ResponseWriter, e *protocol.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.HTTPStatus())
	_ = json.NewEncoder(w).Encode(e)
}

func (c *coordinator) sendBlob(w http.ResponseWriter, r *http.Request) {
	digest, err := task.ParseDigest(strings.TrimPrefix(r.URL.Path, protocol.PathBlobs))
	c.mu.Lock()
	b, ok := c.blobs[digest]
	c.mu.Unlock()
	if err != nil || !ok {
		fail(w, protocol.Refuse(protocol.CodeNotFound, "no blob %s", digest))
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

func (c *coordinator) takeOutput(w http.ResponseWriter, r *http.Request) {
	_, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, protocol.PathOutputs), "/")
	digest, _ := task.ParseDigest(name)
	key, _ := task.ParseKey(r.Header.Get(protocol.HeaderKey))
	if !protocol.VerifyUpload(key, cluster, digest, protocol.DecodeSignature(r.Header.Get(protocol.HeaderSignature))) {
		c.t.Error("an upload is not signed")
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "zstd" {
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1))
		if err != nil {
			c.t.Error(err)
			return
		}
		defer z.Close()
		body = z
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return // broken off
	}
	if task.Sum(b) != digest {
		c.t.Errorf("%d bytes were uploaded under a wrong digest", len(b))
	}
	c.mu.Lock()
	c.uploads[digest] = b
	c.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (c *coordinator) request(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(io.LimitReader(r.Body, protocol.MaxEnvelope+1))
	if err != nil {
		return
	}
	e, err := protocol.OpenEnvelope(b, cluster)
	if err != nil {
		c.t.Errorf("a malformed request: %v", err)
		answer(w, (&protocol.Reply{Error: protocol.AsError(err)}).Encode())
		return
	}
	c.mu.Lock()
	c.frames = append(c.frames, b)
	before, lose := c.before, c.lose
	c.mu.Unlock()
	if before != nil && before(w, e) {
		return
	}
	reply := c.once(e)
	if lose != nil && lose(e) {
		panic(http.ErrAbortHandler)
	}
	answer(w, reply)
}

func answer(w http.ResponseWriter, reply []byte) {
	w.Header().Set("Content-Type", protocol.ContentType)
	_, _ = w.Write(reply)
}

func refusal(code protocol.Code, text string) []byte {
	return (&protocol.Reply{Error: protocol.Refuse(code, "%s", text)}).Encode()
}

// once carries out a request by its number (R2).
func (c *coordinator) once(e *protocol.Envelope) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[e.Session]
	if s == nil {
		if e.Opened > c.now() || e.Opened < c.now()-3_600_000 {
			return refusal(protocol.CodeSession, "the session is not known any more")
		}
		s = &session{}
		c.sessions[e.Session] = s
	}
	switch {
	case e.Number < s.last:
		return refusal(protocol.CodeAlreadyDone, "done before")
	case e.Number == s.last && e.Sum() != s.sum:
		return refusal(protocol.CodeReusedNumber, "it was another one")
	case e.Number == s.last:
		return s.reply
	case e.Number != s.last+1:
		c.t.Errorf("request %d follows %d", e.Number, s.last)
	}
	reply := c.carryOut(e)
	s.last, s.sum, s.reply = e.Number, e.Sum(), reply.Encode()
	close(c.changed)
	c.changed = make(chan struct{})
	return s.reply
}

// wait returns once something holds, looked at after each request, and reports
// whether it did before ctx ended.
func (c *coordinator) wait(ctx context.Context, holds func() bool) bool {
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if holds() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (c *coordinator) carryOut(e *protocol.Envelope) *protocol.Reply {
	if e.Purpose == protocol.PurposeEnrol {
		var p protocol.Enrol
		if err := e.Decode(&p); err != nil || !protocol.VerifyCertificate(p.Account, e.Key, p.Certificate) || p.AccountName == "" || p.HostName == "" {
			c.t.Errorf("enrolment %+v: %v", p, err)
		}
		c.enrolled[e.Key] = p
		return &protocol.Reply{Done: &protocol.Done{Time: c.now()}}
	}
	if _, ok := c.enrolled[e.Key]; !ok {
		return &protocol.Reply{Error: protocol.Refuse(protocol.CodeUnknownKey, "the host is not enrolled")}
	}
	var x protocol.Exchange
	if err := e.Decode(&x); err != nil {
		c.t.Error(err)
	}
	return &protocol.Reply{Exchange: c.exchange(&x)}
}

func (c *coordinator) exchange(x *protocol.Exchange) *protocol.ExchangeReply {
	reply := &protocol.ExchangeReply{AfterMillis: c.after, NextMillis: c.next, Time: c.now(), Members: c.members, Leader: "a"}
	has := map[task.AttemptID]bool{}
	for _, r := range x.Reports {
		has[r.Attempt] = true
		reply.Acks = append(reply.Acks, c.report(r))
	}
	for _, id := range x.Held {
		has[id] = true
		if slices.Contains(c.cancel, id) {
			reply.Cancel = append(reply.Cancel, id)
		}
	}
	for id := range c.open {
		if !has[id] {
			c.lost = append(c.lost, id)
			delete(c.open, id)
		}
	}
	room := max(min(16+16*int(x.Facts.Cores), protocol.MaxHeld)-len(c.open), 0)
	n := min(int(x.Want), len(c.waiting), room, protocol.MaxWanted)
	reply.Attempts = c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	for _, a := range reply.Attempts {
		c.given[a.ID], c.open[a.ID] = a, true
	}
	if n < int(x.Want) {
		reply.Reason = task.ReasonNoJobs
	}
	if n == room && n < int(x.Want) {
		reply.Reason = task.ReasonHostFull
	}
	c.exchanges++
	return reply
}

func (c *coordinator) report(r protocol.Report) protocol.Ack {
	if c.refuse != nil {
		if ack := c.refuse(&r); ack != 0 {
			delete(c.open, r.Attempt)
			return ack
		}
	}
	if _, ok := c.reports[r.Attempt]; ok {
		return protocol.AckDuplicate
	}
	a, ok := c.given[r.Attempt]
	if !ok {
		c.t.Errorf("a report of attempt %d, which was never given", r.Attempt)
		return protocol.AckGone
	}
	c.reports[r.Attempt] = r
	delete(c.open, r.Attempt)
	if r.Task != a.Task.Sum() || len(r.Note) > protocol.MaxNote {
		c.t.Errorf("attempt %d: the report names task %s, with a note of %d bytes", r.Attempt, r.Task, len(r.Note))
	}
	if r.Failure == protocol.FailureNone {
		c.checkOutputs(&r)
	}
	return protocol.AckAccepted
}

func (c *coordinator) checkOutputs(r *protocol.Report) {
	list, err := task.DecodeOutputList(r.Outputs)
	if err != nil {
		c.t.Errorf("attempt %d: %v", r.Attempt, err)
		return
	}
	if len(r.Inline) > 0 {
		size := 0
		for i, b := range r.Inline {
			size += len(b)
			if i >= len(list) || task.Sum(b) != list[i].Digest || int64(len(b)) != list[i].Size {
				c.t.Errorf("attempt %d: output %d is not what its list says", r.Attempt, i)
			}
		}
		if size > protocol.MaxInline || len(r.Inline) != len(list) {
			c.t.Errorf("attempt %d: %d of %d outputs with %d bytes travel inside", r.Attempt, len(r.Inline), len(list), size)
		}
		return
	}
	for _, f := range list {
		if _, ok := c.uploads[f.Digest]; !ok {
			c.t.Errorf("attempt %d: output %q was not uploaded before its report", r.Attempt, f.Name)
		}
	}
	if _, ok := c.uploads[task.Sum(r.Outputs)]; len(list) > 0 && ok {
		c.t.Errorf("attempt %d: its list was uploaded, and travels in the report", r.Attempt)
	}
}

// reported is the report of an attempt, or nil.
func (c *coordinator) reported(id task.AttemptID) *protocol.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.reports[id]; ok {
		return &r
	}
	return nil
}

// stdout is what a report says that its program wrote to standard output.
func (c *coordinator) stdout(id task.AttemptID) string {
	r := c.reported(id)
	if r == nil {
		return "(no report)"
	}
	list, err := task.DecodeOutputList(r.Outputs)
	if err != nil {
		return err.Error()
	}
	for i, f := range list {
		if f.Name != task.OutputStdout {
			continue
		}
		if len(r.Inline) > 0 {
			return string(r.Inline[i])
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return string(c.uploads[f.Digest])
	}
	return ""
}
