package dispatch

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/schedule"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// fleet is a state with running jobs, spread over projects, and hosts that
// each have an account of their own.
type fleet struct {
	state     *state.State
	overlay   *schedule.Overlay
	rnd       *rand.Rand
	publisher task.Key
	projects  int
	hosts     []schedule.Host
	held      [][]task.AttemptID // by host
	numbers   map[task.Key]uint64
}

func fleetKey(n uint64) (k task.Key) {
	binary.BigEndian.PutUint64(k[:], n)
	k[31] = 'k'
	return k
}

func newFleet(t testing.TB, projects, jobs, hosts int) *fleet {
	f := &fleet{
		state: state.New(), overlay: schedule.NewOverlay(), rnd: rand.New(rand.NewPCG(1, 2)),
		publisher: fleetKey(1 << 40), projects: projects, numbers: map[task.Key]uint64{}, held: make([][]task.AttemptID, hosts),
	}
	f.apply(t, &state.InitCluster{ID: task.ClusterID{1}, Secret: []byte("bench"), Operator: f.publisher, Anyone: true})
	for p := range projects {
		f.apply(t, &state.CreateProject{Request: f.request(f.publisher), Name: fmt.Sprint("project-", p), AccountName: "bench"})
		f.apply(t, &state.Publish{Request: f.request(f.publisher), Project: fmt.Sprint("project-", p), App: "app", Program: task.Sum([]byte("program")), Meter: 1})
	}
	f.tasks(t, jobs, int64(1_000_000_000/max(1, jobs)))
	for i := range uint64(hosts) {
		f.apply(t, &state.Enrol{Request: f.request(fleetKey(2 * i)), Account: fleetKey(2*i + 1), HostName: "bench"})
		id, h, _ := f.state.HostByKey(fleetKey(2 * i))
		f.hosts = append(f.hosts, schedule.Host{ID: id, Account: h.Account, MayHold: protocol.MaxHeld, Memory: 1 << 30, AllowAll: true})
	}
	return f
}

// tasks submits jobs of so many tasks each, in turn to each project.
func (f *fleet) tasks(t testing.TB, jobs int, tasks int64) {
	for i := range jobs {
		spec := task.JobSpec{
			Name: "bench", Program: task.Sum([]byte("program")), Meter: 1, Args: []string{"{from}"},
			Split:  task.Split{Kind: task.SplitRange, Range: task.Range{To: tasks, Step: 1}},
			Check:  task.Check{Replicate: 2, MaxAttempts: 50},
			Limits: task.Limits{Work: 1e9, Memory: 1 << 22, Output: 1 << 10, Wall: 600_000, Deadline: 86_400_000},
		}
		f.apply(t, &state.SubmitJob{Request: f.request(f.publisher), Project: fmt.Sprint("project-", i%f.projects), Spec: protocol.EncodeSpec(&spec)})
	}
}

func (f *fleet) request(k task.Key) state.Request {
	f.numbers[k]++
	return state.Request{Key: k, Session: 1, Opened: 1, Number: f.numbers[k]}
}

func (f *fleet) apply(t testing.TB, c state.Command) state.Answer {
	r := f.state.Apply(1, []state.Command{c})
	if r[0].Answer.Error != nil {
		t.Fatalf("%T: %v", c, r[0].Answer.Error)
	}
	return r[0].Answer
}

// onItsWay is what one host gets while others' picks are on their way.
type onItsWay struct {
	host    int
	picks   []schedule.Pick
	command *state.Exchange
}

// finish applies an exchange, and judges what it brought.
func (f *fleet) finish(t testing.TB, x *onItsWay) {
	for _, id := range f.held[x.host] {
		x.command.Reports = append(x.command.Reports, state.Report{Attempt: id, Work: 5_000_000, Output: task.Digest{1}})
	}
	for _, p := range x.picks {
		x.command.Assign = append(x.command.Assign, state.Assignment{Stage: p.Stage, Index: p.Index})
	}
	answer := f.apply(t, x.command)
	if len(answer.Attempts) != len(x.picks) {
		t.Fatalf("%d picks, %d of them held", len(x.picks), len(answer.Attempts))
	}
	f.held[x.host] = answer.Attempts
	var verdicts []state.Verdict
	for _, r := range x.command.Reports {
		a, _ := f.state.Attempt(r.Attempt)
		if k, ok := f.state.Task(a.Stage, uint64(a.Index)); ok && k.Ripe {
			verdicts = append(verdicts, state.Verdict{Stage: a.Stage, Index: uint64(a.Index), Winner: r.Attempt})
		}
	}
	f.apply(t, &state.Judge{Verdicts: verdicts})
}

// BenchmarkPick measures what picking takes while exchanges are carried out:
// 32 tasks each, with the picks of so many others on their way. What Apply
// takes of it is told apart.
func BenchmarkPick(b *testing.B) {
	for _, c := range []struct{ projects, jobs, hosts, inFlight int }{
		{1, 1, 64, 8},
		{1, 100, 64, 8},
		{10, 100, 64, 8},
		{1, 10_000, 64, 8},
		{100, 10_000, 64, 8},
		{10_000, 10_000, 64, 8},
		{100, 10_000, 1024, 128},
		{1, 100_000, 64, 8},
		{100, 100_000, 64, 8},
		{100_000, 100_000, 64, 8},
	} {
		name := fmt.Sprintf("projects=%d,jobs=%d,hosts=%d,inflight=%d", c.projects, c.jobs, c.hosts, c.inFlight)
		b.Run(name, func(b *testing.B) {
			f := newFleet(b, c.projects, c.jobs, c.hosts)
			var picking, applying time.Duration
			var under []onItsWay
			picked, turn := 0, 0
			round := func() {
				h := turn % c.hosts
				turn++
				began := time.Now()
				picks, _ := schedule.For(view{f.state}, f.overlay, f.hosts[h], 32, f.rnd.Uint64N)
				picking += time.Since(began)
				picked += len(picks)
				under = append(under, onItsWay{h, picks, &state.Exchange{Request: f.request(fleetKey(2 * uint64(h)))}})
				if len(under) < c.inFlight {
					return
				}
				x := under[0]
				under = under[1:]
				began = time.Now()
				f.finish(b, &x)
				applying += time.Since(began)
				began = time.Now()
				f.overlay.Settle(x.picks, true, f.hosts[x.host])
				picking += time.Since(began)
			}
			for range 2 * c.hosts {
				round() // every host has work, and reports from now on
			}
			picking, applying, picked = 0, 0, 0
			for b.Loop() {
				round()
			}
			b.ReportMetric(float64(picking.Nanoseconds())/float64(picked), "ns/pick")
			b.ReportMetric(float64(applying.Nanoseconds())/float64(picked), "apply-ns/pick")
		})
	}
}

// BenchmarkPickAlone is a pick of 32 tasks that is taken back, over a state
// that does not change: what it allocates is what picking allocates.
func BenchmarkPickAlone(b *testing.B) {
	for _, jobs := range []int{1, 100, 10_000, 100_000} {
		b.Run(fmt.Sprintf("jobs=%d", jobs), func(b *testing.B) {
			f := newFleet(b, min(jobs, 10), jobs, 1)
			for range 2 {
				picks, _ := schedule.For(view{f.state}, f.overlay, f.hosts[0], 32, f.rnd.Uint64N)
				f.overlay.Settle(picks, false, f.hosts[0])
			}
			b.ReportAllocs()
			for b.Loop() {
				picks, _ := schedule.For(view{f.state}, f.overlay, f.hosts[0], 32, f.rnd.Uint64N)
				f.overlay.Settle(picks, false, f.hosts[0])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/pick")
		})
	}
}
