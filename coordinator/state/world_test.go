package state_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/validation"
)

// world drives a State as a coordinator would, through encoded entries, and
// checks every invariant after each of them.
type world struct {
	t       testing.TB
	s       *state.State
	now     task.Millis
	numbers map[task.Key]uint64
	log     [][]byte
	room    state.SheafRoom
}

var (
	operator  = key(200)
	publisher = key(201)
	program   = task.Sum([]byte("program"))
)

func key(n byte) task.Key { return task.Key{n, 'k'} }

func newWorld(t testing.TB) *world {
	w := &world{t: t, s: state.New(), now: 1_000_000, numbers: map[task.Key]uint64{}}
	w.apply(&state.InitCluster{ID: task.ClusterID{1}, Secret: []byte("secret"), Operator: operator, Anyone: true})
	w.must(&state.CreateProject{Request: w.request(publisher), Name: "science"})
	w.must(&state.Publish{Request: w.request(publisher), Project: "science", App: "app", Program: program, Meter: 1})
	return w
}

// apply sends commands through the codec and the state machine as one entry.
func (w *world) apply(commands ...state.Command) []state.Result {
	w.t.Helper()
	e := state.Entry{Now: w.now}
	for _, c := range commands {
		e.Commands = append(e.Commands, state.EncodeCommand(c))
	}
	b := state.EncodeEntry(e)
	w.log = append(w.log, b)
	now, decoded, err := state.DecodeEntry(b)
	if err != nil {
		w.t.Fatal(err)
	}
	results := w.s.Apply(now, decoded)
	if err := w.s.Check(); err != nil {
		w.t.Fatalf("after %s: %v", describe(commands), err)
	}
	return results
}

func describe(commands []state.Command) string {
	var b bytes.Buffer
	for _, c := range commands {
		fmt.Fprintf(&b, "%T%+v ", c, c)
	}
	return b.String()
}

func (w *world) must(c state.Command) state.Answer {
	w.t.Helper()
	r := w.apply(c)[0]
	if r.Answer.Error != nil {
		w.t.Fatalf("%T: %v", c, r.Answer.Error)
	}
	return r.Answer
}

// request is the next request of a key.
func (w *world) request(k task.Key) state.Request {
	w.numbers[k]++
	n := w.numbers[k]
	return state.Request{Key: k, Session: 7, Opened: w.s.Cluster().Now, Number: n, Sum: task.Sum([]byte(fmt.Sprint(k, n)))}
}

// host enrols host n of account n/10.
func (w *world) host(n byte) task.Key {
	w.t.Helper()
	w.must(&state.Enrol{Request: w.request(key(n)), Account: key(100 + n/10), AccountName: fmt.Sprint("account ", n/10), HostName: fmt.Sprint("host ", n)})
	return key(n)
}

func spec(tasks int64, replicate uint8) *task.JobSpec {
	return &task.JobSpec{
		Program: program, Meter: 1, Args: []string{"{from}"},
		Split:  task.Split{Kind: task.SplitRange, Range: task.Range{To: tasks, Step: 1}},
		Check:  task.Check{Replicate: replicate, MaxAttempts: 8},
		Limits: task.Limits{Work: 1e9, Memory: 1 << 20, Output: 1 << 20, Wall: 60_000, Deadline: 10_000},
	}
}

func (w *world) submit(s *task.JobSpec) task.JobNumber {
	w.t.Helper()
	a := w.must(&state.SubmitJob{Request: w.request(publisher), Project: "science", Spec: protocol.EncodeSpec(s)})
	n, ok := w.s.JobByID(a.Job)
	if !ok {
		w.t.Fatal("the job is not there")
	}
	return n
}

// give hands tasks of a stage to a host and returns the attempts' ids.
func (w *world) give(host task.Key, stage task.StageID, tasks ...uint64) []task.AttemptID {
	w.t.Helper()
	c := &state.Exchange{Request: w.request(host)}
	for _, i := range tasks {
		c.Assign = append(c.Assign, state.Assignment{Stage: stage, Index: i})
	}
	return w.must(c).Attempts
}

// result reports an attempt's result, made of value.
func result(id task.AttemptID, value byte) state.Report {
	return state.Report{Attempt: id, Output: task.Digest{value, 1}, Work: 5_000_000}
}

func (w *world) report(host task.Key, r ...state.Report) []protocol.Ack {
	w.t.Helper()
	var acks []protocol.Ack
	for _, a := range w.must(&state.Exchange{Request: w.request(host), Reports: r}).Acks {
		acks = append(acks, protocol.Ack(a))
	}
	return acks
}

// lead does what the leader's loops do until there is nothing to do: judges
// ripe tasks and releases whole chunks.
func (w *world) lead() {
	w.t.Helper()
	for progress := true; progress; {
		progress = false
		for _, n := range append([]task.JobNumber(nil), w.s.ActiveJobs()...) {
			stage := w.s.CurrentStage(n)
			for i, ok := w.s.Ripe(stage, 0); ok; i, ok = w.s.Ripe(stage, i+1) {
				w.apply(&state.Judge{Verdicts: []state.Verdict{w.verdict(n, stage, i)}})
				progress = true
			}
			if c, ok := w.s.NextReleasable(stage, 0); ok {
				w.apply(&state.Release{Stage: stage, Chunk: c})
				progress = true
			}
		}
	}
}

// sealing is what the leader proposes to seal of a chunk.
func (w *world) sealing(stage task.StageID, chunk uint64) *state.Seal {
	c := &state.Seal{Stage: stage, Chunk: chunk}
	kept, late := w.s.Collect(stage, chunk, &w.room)
	c.Late = late
	if kept != nil {
		c.Sheaf, c.Pack = kept.Digest(), task.Sum([]byte("pack"))
	}
	return c
}

func (w *world) verdict(n task.JobNumber, stage task.StageID, i uint64) state.Verdict {
	_, spec := w.s.Job(n)
	var votes []validation.Vote
	var ids []task.AttemptID
	w.s.Attempts(stage, i, func(id task.AttemptID, a *state.Attempt) {
		if a.State == state.AttemptReported {
			votes = append(votes, validation.Vote{Exit: a.Exit, Output: a.Output, Work: a.Work})
			ids = append(ids, id)
		}
	})
	t, _ := w.s.Task(stage, i)
	v := state.Verdict{Stage: stage, Index: i}
	switch d := validation.Decide(spec.Check, votes, int(t.Open)+int(t.Want), int(t.Tries)); d.Kind {
	case validation.Accept:
		v.Winner = ids[d.Winner]
	case validation.More:
		v.More = uint8(d.More)
	case validation.Fail:
		v.Fail = state.FailDisagree
		if len(votes) == 0 {
			v.Fail = state.FailNoResult
		}
	}
	return v
}

// copied is the state as a snapshot and a restore give it back.
func (w *world) copied() *state.State {
	w.t.Helper()
	f := w.s.Freeze()
	defer f.Release()
	var b bytes.Buffer
	digest, err := f.Write(&b)
	if err != nil {
		w.t.Fatal(err)
	}
	if want := w.s.Digest(); digest != want {
		w.t.Fatalf("R3: the snapshot's digest is %s, the state's %s", digest.Short(), want.Short())
	}
	s, err := state.Restore(&b)
	if err != nil {
		w.t.Fatal(err)
	}
	if got := s.Digest(); got != digest {
		w.t.Fatalf("R3: restored %s, want %s", got.Short(), digest.Short())
	}
	if err := s.Check(); err != nil {
		w.t.Fatal(err)
	}
	return s
}
