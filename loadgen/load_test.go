package loadgen_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/loadgen"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// standIn answers exchanges as a coordinator would, from a table in memory: each
// task goes to two hosts. Now and then it does not answer, or says that nobody
// leads, or carries a request out and loses the answer.
type standIn struct {
	t    *testing.T
	rude bool

	mu       sync.Mutex
	rnd      *rand.Rand
	answers  map[task.Key]answered
	tasks    [][]place // by index
	attempts map[task.AttemptID]protocol.AttemptView
	enrolled map[task.Key]bool
}

type answered struct {
	number uint64
	sum    task.Digest
	reply  []byte
}

type place struct {
	host task.Key
	id   task.AttemptID
}

const replicate = 2

func sumOf(index uint64) task.Digest { return task.Sum(fmt.Append(nil, index)) }

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	e, err := protocol.OpenEnvelope(body, task.ClusterID{7})
	if err != nil {
		s.t.Errorf("a request that does not verify: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mood := s.rnd.IntN(20)
	if s.rude && mood == 0 {
		refuse(w)
		return
	}
	last := s.answers[e.Key]
	switch sum := e.Sum(); {
	case e.Number == last.number && sum != last.sum:
		s.t.Errorf("R2: request %d was sent again with another body", e.Number)
	case e.Number != last.number && e.Number != last.number+1:
		s.t.Errorf("R2: request %d follows request %d", e.Number, last.number)
	case e.Number == last.number+1:
		last = answered{number: e.Number, sum: sum, reply: s.carryOut(e).Encode()}
		s.answers[e.Key] = last
	}
	if s.rude && mood == 1 {
		panic(http.ErrAbortHandler) // it was carried out, and nobody is told
	}
	w.Write(last.reply)
}

func refuse(w http.ResponseWriter) {
	w.WriteHeader(http.StatusServiceUnavailable)
	w.Write((&protocol.Reply{Error: protocol.Refuse(protocol.CodeNoLeader, "there is no leader")}).Encode())
}

func (s *standIn) carryOut(e *protocol.Envelope) *protocol.Reply {
	if e.Purpose == protocol.PurposeEnrol {
		var enrol protocol.Enrol
		if err := e.Decode(&enrol); err != nil || !protocol.VerifyCertificate(enrol.Account, e.Key, enrol.Certificate) {
			s.t.Errorf("an enrolment that does not verify: %v", err)
		}
		s.enrolled[e.Key] = true
		return &protocol.Reply{Done: &protocol.Done{}}
	}
	var x protocol.Exchange
	if err := e.Decode(&x); err != nil || !s.enrolled[e.Key] {
		s.t.Errorf("enrolled: %t; the exchange: %v", s.enrolled[e.Key], err)
	}
	reply := &protocol.ExchangeReply{Leader: "good"}
	for _, r := range x.Reports {
		reply.Acks = append(reply.Acks, s.report(e.Key, r))
	}
	for i := 0; len(reply.Attempts) < int(x.Want); i++ {
		if i == len(s.tasks) {
			s.tasks = append(s.tasks, nil)
		}
		if len(s.tasks[i]) == replicate || len(s.tasks[i]) == 1 && s.tasks[i][0].host == e.Key {
			continue
		}
		id := task.AttemptID(len(s.attempts) + 1)
		s.tasks[i] = append(s.tasks[i], place{e.Key, id})
		s.attempts[id] = protocol.AttemptView{Index: uint64(i), Attempt: id, Host: e.Key, State: "open"}
		reply.Attempts = append(reply.Attempts, protocol.Attempt{ID: id, Task: task.Task{Index: uint64(i)}, Sum: sumOf(uint64(i))})
	}
	return &protocol.Reply{Exchange: reply}
}

func (s *standIn) report(host task.Key, r protocol.Report) protocol.Ack {
	v, ok := s.attempts[r.Attempt]
	if !ok || v.Host != host || v.State != "open" || r.Task != sumOf(v.Index) || len(r.Inline) != 1 {
		s.t.Errorf("a report of attempt %d that cannot be: %+v", r.Attempt, v)
		return protocol.AckRefused
	}
	v.State, v.Output, v.Work, v.Credit = "valid", task.Sum(r.Outputs), r.Work, 5
	s.attempts[r.Attempt] = v
	return protocol.AckAccepted
}

// page shows all attempts at the tasks of one chunk that were reported.
func (s *standIn) page(from uint64) (p protocol.AttemptPage, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Next = from + 4096
	p.Done = p.Next >= uint64(len(s.tasks))
	for i := from; i < min(p.Next, uint64(len(s.tasks))); i++ {
		for _, at := range s.tasks[i] {
			if v := s.attempts[at.id]; v.State == "valid" {
				p.Attempts = append(p.Attempts, v)
			}
		}
	}
	return p, nil
}

// cluster starts a stand-in, and beside it an address that nobody leads at.
func cluster(t *testing.T, rude bool) (*standIn, []loadgen.Node) {
	t.Helper()
	s := &standIn{
		t: t, rude: rude, rnd: rand.New(rand.NewPCG(1, 1)), answers: map[task.Key]answered{}, attempts: map[task.AttemptID]protocol.AttemptView{},
		enrolled: map[task.Key]bool{},
	}
	good := httptest.NewServer(s)
	t.Cleanup(good.Close)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w) }))
	t.Cleanup(other.Close)
	address := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	return s, []loadgen.Node{{Name: "other", Address: address(other)}, {Name: "good", Address: address(good)}}
}

func newLoad(t *testing.T, nodes []loadgen.Node, hosts, batch int) *loadgen.Load {
	t.Helper()
	l, err := loadgen.New(loadgen.Config{
		Nodes: nodes, Cluster: task.ClusterID{7}, Hosts: hosts, Batch: batch, Replicate: replicate, Random: rand.NewChaCha8([32]byte{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Enrol(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// runUntil runs a load until so many reports were accepted.
func runUntil(t *testing.T, l *loadgen.Load, rate float64, reports uint64) {
	t.Helper()
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- l.Run(t.Context(), rate, stop) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for l.Counts().Accepted < reports {
		select {
		case err := <-done:
			t.Fatalf("the load ended by itself: %v", err)
		case <-tick.C:
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Whatever happens on the way, whole chunks are reported in the end, each task
// by two hosts, and every report is accounted for.
func TestEverythingIsAccountedFor(t *testing.T) {
	for name, c := range map[string]struct {
		rude         bool
		hosts, batch int
		rate         float64
		reports      uint64
		want         uint64
	}{
		"at full speed":       {false, 8, 64, 0, 500, 4096},
		"at a pace":           {false, 8, 200, 2000, 9000, 8192},
		"through disturbance": {true, 5, 256, 0, 2000, 4096},
	} {
		t.Run(name, func(t *testing.T) {
			s, nodes := cluster(t, c.rude)
			l := newLoad(t, nodes, c.hosts, c.batch)
			runUntil(t, l, c.rate, c.reports)
			if n := l.TakeLatencies().Count(); n == 0 || n != l.Counts().Exchanges {
				t.Errorf("%d latencies of %d exchanges", n, l.Counts().Exchanges)
			}
			tasks, err := l.Drain(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if tasks%4096 != 0 || tasks < c.want {
				t.Errorf("%d tasks were reported, want whole chunks, at least %d", tasks, c.want)
			}
			a, err := l.Audit(func(i uint64) (task.Digest, error) { return sumOf(i), nil }, s.page)
			if err != nil {
				t.Fatal(err)
			}
			if !a.OK() || a.Tasks != tasks || a.Valid != tasks || a.Receipts != replicate*tasks || l.Counts().Accepted != a.Receipts {
				t.Errorf("of %d tasks: %+v", tasks, a)
			}
			if (l.Counts().Repeated > uint64(c.hosts)) != c.rude {
				t.Errorf("%d requests were sent again", l.Counts().Repeated)
			}
		})
	}
}

func TestRefusalForGoodEndsTheLoad(t *testing.T) {
	_, nodes := cluster(t, false)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		w.Write((&protocol.Reply{Error: protocol.Refuse(protocol.CodeUnknownKey, "who are you?")}).Encode())
	}))
	defer refusing.Close()
	nodes[1].Address = strings.TrimPrefix(refusing.URL, "http://")
	l, err := loadgen.New(loadgen.Config{Nodes: nodes, Hosts: 2, Batch: 1, Replicate: 2, Random: rand.NewChaCha8([32]byte{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Enrol(t.Context()); !protocol.HasCode(err, protocol.CodeUnknownKey) {
		t.Errorf("got %v, want the refusal", err)
	}
}

func TestInterruptEndsTheLoad(t *testing.T) {
	silent := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
	defer s.Close()
	defer close(silent)
	l, err := loadgen.New(loadgen.Config{
		Nodes: []loadgen.Node{{Name: "a", Address: strings.TrimPrefix(s.URL, "http://")}}, Hosts: 2, Batch: 1, Replicate: 2, Random: rand.NewChaCha8([32]byte{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Enrol(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that the time is over", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*loadgen.Config){
		"no nodes":             func(c *loadgen.Config) { c.Nodes = nil },
		"fewer hosts than two": func(c *loadgen.Config) { c.Hosts = 1 },
		"no batch":             func(c *loadgen.Config) { c.Batch = 0 },
		"too large a batch":    func(c *loadgen.Config) { c.Batch = 257 },
		"no replication":       func(c *loadgen.Config) { c.Replicate = 0 },
		"no randomness":        func(c *loadgen.Config) { c.Random = nil },
	} {
		cfg := loadgen.Config{Nodes: make([]loadgen.Node, 1), Hosts: 2, Batch: 1, Replicate: 2, Random: rand.NewChaCha8([32]byte{})}
		change(&cfg)
		if _, err := loadgen.New(cfg); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
