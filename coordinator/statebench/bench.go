// Package statebench measures the state machine by itself: what live and
// finished tasks take in memory, how long Apply stands still while a snapshot
// is written, and whether a task of a large job costs more than one of a small.
//
// It drives a state.State as a coordinator would: tasks are picked by package
// schedule, verdicts made by package validation, and every command goes through
// its encoding as a log entry. There is no network, no log and no signature
// here; what these cost is measured with real coordinators (sheaf bench).
//
// Only Snapshot starts a goroutine, and it ends before Snapshot returns. A
// Bench belongs to one goroutine.
package statebench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/sheafgrid/sheaf/coordinator/schedule"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// now is the cluster time of all entries: nothing here expires.
const now task.Millis = 1_000_000

// deadline is that of every attempt, in milliseconds: it does not pass.
const deadline task.Millis = 24 * 60 * 60 * 1000

// Bench is a state with hosts, each of an account of its own.
type Bench struct {
	state     *state.State
	overlay   *schedule.Overlay
	rnd       *rand.Rand
	publisher task.Key
	hosts     []*host
	numbers   map[task.Key]uint64 // of each sender's last request
}

// host is one volunteer, as the state knows it.
type host struct {
	key     task.Key
	id      task.HostID
	account task.AccountID
	held    []task.AttemptID
}

// New makes a state with a project and so many hosts, and no job. Two with the
// same arguments behave alike.
func New(hosts int) (*Bench, error) {
	b := &Bench{
		state: state.New(), overlay: schedule.NewOverlay(), rnd: rand.New(rand.NewPCG(1, uint64(hosts))),
		publisher: key(0), numbers: map[task.Key]uint64{},
	}
	commands := []state.Command{
		&state.InitCluster{ID: task.ClusterID{1}, Secret: []byte("bench"), Operator: b.publisher, Anyone: true},
		&state.CreateProject{Request: b.request(b.publisher), Name: "bench", AccountName: "bench"},
		&state.Publish{Request: b.request(b.publisher), Project: "bench", App: "bench", Program: task.Sum([]byte("program")), Meter: 1},
	}
	for i := range hosts {
		h := &host{key: key(uint64(2*i + 1)), held: make([]task.AttemptID, 0, protocol.MaxHeld)}
		b.hosts = append(b.hosts, h)
		commands = append(commands, &state.Enrol{
			Request: b.request(h.key), Account: key(uint64(2*i + 2)), AccountName: "bench", HostName: "bench", Facts: facts(),
		})
	}
	if _, err := b.apply(commands...); err != nil {
		return nil, err
	}
	for _, h := range b.hosts {
		id, record, ok := b.state.HostByKey(h.key)
		if !ok {
			return nil, fmt.Errorf("host %s was enrolled and is not known", h.key)
		}
		h.id, h.account = id, record.Account
	}
	return b, nil
}

// facts is what every host says of itself: enough cores to hold as much as any
// host may.
func facts() protocol.HostFacts {
	return protocol.HostFacts{Client: "bench", OS: "linux", Arch: "amd64", Cores: 256, Memory: 1 << 30}
}

func key(n uint64) (k task.Key) {
	binary.BigEndian.PutUint64(k[:], n)
	k[31] = 'k'
	return k
}

// Submit submits a job of so many tasks, each to be computed by two hosts.
func (b *Bench) Submit(tasks uint64) error {
	spec := task.JobSpec{
		Name: "bench", Program: task.Sum([]byte("program")), Meter: 1, Args: []string{"{from}"},
		Split:  task.Split{Kind: task.SplitRange, Range: task.Range{From: 0, To: int64(tasks), Step: 1}},
		Check:  task.Check{Replicate: 2, MaxAttempts: 50},
		Limits: task.Limits{Work: 1_000_000_000, Memory: 1 << 22, Output: 1 << 10, Wall: 600_000, Deadline: deadline},
	}
	_, err := b.apply(&state.SubmitJob{Request: b.request(b.publisher), Project: "bench", Spec: protocol.EncodeSpec(&spec)})
	return err
}

// State is the state, to be read only.
func (b *Bench) State() *state.State { return b.state }

func (b *Bench) request(k task.Key) state.Request {
	b.numbers[k]++
	return state.Request{Key: k, Session: 1, Opened: now, Number: b.numbers[k]}
}

// apply sends commands through the log's encoding and the state machine, as one
// entry. A refusal is an error.
func (b *Bench) apply(commands ...state.Command) ([]state.Result, error) {
	e := state.Entry{Now: now}
	for _, c := range commands {
		e.Commands = append(e.Commands, state.EncodeCommand(c))
	}
	return applyEntry(b.state, state.EncodeEntry(e))
}

// applyEntry is what a coordinator does with an entry that is committed.
func applyEntry(s *state.State, entry []byte) ([]state.Result, error) {
	at, commands, err := state.DecodeEntry(entry)
	if err != nil {
		return nil, err
	}
	results := s.Apply(at, commands)
	for i, r := range results {
		if r.Answer.Error != nil {
			return nil, fmt.Errorf("%T was refused: %w", commands[i], r.Answer.Error)
		}
	}
	return results, nil
}

// pick chooses tasks for a host.
func (b *Bench) pick(h *host, want int) []schedule.Pick {
	picks, _ := schedule.For(view{b.state}, b.overlay, schedule.Host{
		ID: h.id, Account: h.account, Open: 0, MayHold: protocol.MaxHeld, Memory: 1 << 30, AllowAll: true,
	}, want, b.rnd.Uint64N)
	return picks
}

// settle tells the scheduler that what it picked was applied.
func (b *Bench) settle(picks []schedule.Pick, h *host) {
	b.overlay.Settle(picks, true, schedule.Host{ID: h.id, Account: h.account})
}

// view is the state as package schedule reads it.
type view struct{ *state.State }

// JobFacts is what a pick must know of a job.
func (v view) JobFacts(n task.JobNumber) schedule.JobFacts {
	j, spec := v.Job(n)
	id := v.CurrentStage(n)
	st := v.Stage(id)
	return schedule.JobFacts{
		Project: j.Project, Running: j.State == state.JobRunning, Waiting: v.WaitingCount(id) > 0, Stage: id, Count: st.Count, Cursor: st.Cursor,
		Open: v.StageOpen(id), Replicate: int(spec.Check.Replicate), Memory: spec.Limits.Memory,
	}
}

// Wanted is how many further attempts a touched task wants.
func (v view) Wanted(stage task.StageID, i uint64) int {
	t, ok := v.Task(stage, i)
	if !ok || t.State != state.TaskLive {
		return 0
	}
	return int(t.Want)
}
