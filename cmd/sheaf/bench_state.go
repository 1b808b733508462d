package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/statebench"
	"github.com/sheafgrid/sheaf/internal/usage"
	"github.com/sheafgrid/sheaf/loadgen"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

type benchStateCommand struct {
	Tasks    uint64 `help:"Tasks of the large job." default:"1000000000"`
	Live     uint64 `help:"Tasks that hosts work on at once." default:"1000000"`
	Finished uint64 `help:"Tasks that are finished between two looks at the memory." default:"5000000"`
	Dir      string `help:"Folder on the disk to be measured; data goes into a folder of its own in it. Default: where the system keeps temporary files." type:"path" placeholder:"DIR"`
}

// Help is printed below the flags.
func (*benchStateCommand) Help() string {
	return `Example: what do a job of a thousand million tasks, and a million tasks at once, take of a coordinator?

    sheaf bench state --tasks 1000000000 --live 1000000

Of a real coordinator, a process of its own with fsync on, asked over HTTP, are measured: how long submitting the job takes, what its memory has grown by when --finished tasks, after the first 300,000, were computed by two simulated hosts each, judged, released and sealed, and how long it needs until it is ready again when it was killed with --live tasks at work, and a snapshot and a log on its disk.

Of the state machine by itself, in this process, with every command encoded as in the log and tasks picked as a coordinator picks them, are measured: what the state grows by with the job, the memory of a live task of which two hosts have an attempt each, the longest time that an entry of the log waits while a snapshot of them is written and synced, and what a task of a job ten times as large costs, in CPU time.

Takes a few minutes. A figure that misses what is wanted of it is marked; exit code 1 is for what could not be measured.`
}

// stateResult is the last line of --json.
type stateResult struct {
	OK bool `json:"ok"` // everything was measured

	SubmitMillis float64 `json:"submit_ms"`
	SubmitGrowth float64 `json:"submit_growth_kb"`
	BytesPerLive float64 `json:"bytes_per_live_task"`
	Stall        float64 `json:"snapshot_stall_ms"`
	Restart      float64 `json:"restart_s"`
	Growth       float64 `json:"growth_mb_after_5m"`
	Tenfold      float64 `json:"tenfold_ratio"`

	Tasks    uint64   `json:"tasks"`
	Live     uint64   `json:"live"`
	Finished uint64   `json:"finished"`
	Missed   []string `json:"missed"` // figures that are not what is wanted of them

	SubmitSnapshot  float64   `json:"submit_snapshot_kb"` // what the job adds to a snapshot
	StallFreeze     float64   `json:"snapshot_freeze_ms"`
	StallP99        float64   `json:"snapshot_entry_p99_ms"`
	StallBefore     float64   `json:"entry_max_ms"` // without a snapshot
	SnapshotSeconds float64   `json:"snapshot_s"`
	SnapshotMB      float64   `json:"snapshot_mb"`
	SnapshotReports int       `json:"snapshot_reports"` // applied while it was written
	RestartEach     []float64 `json:"restart_each_s"`
	RestartCPU      *float64  `json:"restart_cpu_s"` // CPU time of the slowest restart
	RestartLive     uint64    `json:"restart_live"`  // tasks of which the restarted node had records
	RestartSnapshot float64   `json:"restart_snapshot_mb"`
	RestartEntries  uint64    `json:"restart_entries"` // of the log behind the snapshot, read at the restart
	HeapIdle        float64   `json:"heap_mb_idle"`    // of the coordinator, before any work
	HeapBefore      float64   `json:"heap_mb_before"`  // at work, after the first 300,000 tasks
	HeapAfter       float64   `json:"heap_mb_after"`
	StateGrowth     float64   `json:"state_growth_mb_after_5m"` // of the state machine alone
	OutputsMB       float64   `json:"outputs_mb"`               // on the disk, after
	FinishedPerSec  float64   `json:"finished_per_s"`
	TaskMicros      float64   `json:"task_us"`         // CPU of the state machine and the scheduler
	TenfoldMicros   float64   `json:"tenfold_task_us"` // the same in a job ten times as large
	Steal           *float64  `json:"steal_percent"`
	OthersCPU       *float64  `json:"others_cpu_percent"` // what other programs took while a coordinator was restarted
	Seconds         float64   `json:"seconds"`
}

// Run measures.
func (c *benchStateCommand) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	s := &stateBench{app: a, flags: *c}
	s.result = stateResult{Tasks: c.Tasks, Live: c.Live, Finished: c.Finished, Missed: []string{}}
	from, fromErr := usage.Now()
	began := time.Now()
	for _, part := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"Submitting, and finishing tasks, with a real coordinator", s.node},
		{"Killing and restarting a real coordinator with live tasks", s.restart},
		{"Live tasks and snapshots, in this process", s.live},
		{"Finished tasks, in this process", s.finished},
		{"A job and one of ten times as many tasks, in this process", s.tenfold},
	} {
		a.say("%s", part.what)
		if err := part.do(a.ctx); err != nil {
			return err
		}
	}
	r := &s.result
	r.Seconds, r.OK = round(time.Since(began).Seconds(), 1), true
	if to, err := usage.Now(); errors.Join(err, fromErr) == nil {
		r.Steal = pointer(usage.StealPercent(from, to))
	}
	s.report()
	return nil
}

func (c *benchStateCommand) check() error {
	half := max(4096, int64(c.Tasks/2))
	return errors.Join(
		inRange("--tasks", int64(c.Tasks), 2*4096, task.MaxTasks, "tasks"),
		inRange("--live", int64(c.Live), 1000, min(maxLive, half), "tasks (no more than half of --tasks)"),
		inRange("--finished", int64(c.Finished), 4096, min(100_000_000, half), "tasks (no more than half of --tasks)"),
	)
}

// maxLive is what the hosts of a bench can hold.
const maxLive = loadgen.MaxHosts * heldEach / 2

// stateBench measures what a state takes.
type stateBench struct {
	*app
	flags  benchStateCommand
	result stateResult
}

// live measures the state machine with many live tasks.
func (s *stateBench) live(ctx context.Context) error {
	hosts := int(2*s.flags.Live/protocol.MaxHeld) + 2
	b, err := statebench.New(hosts)
	if err != nil {
		return err
	}
	before, snapshot := statebench.Heap(), b.SnapshotBytes()
	if err := b.Submit(s.flags.Tasks); err != nil {
		return err
	}
	after := statebench.Heap()
	s.result.SubmitGrowth = round(float64(int64(after-before))/1024, 1)
	s.result.SubmitSnapshot = round(float64(b.SnapshotBytes()-snapshot)/1024, 1)
	if err := b.Hold(s.flags.Live, s.counter(ctx, "attempts handed out", 2*s.flags.Live)); err != nil {
		return err
	}
	s.clear()
	s.result.BytesPerLive = round(float64(statebench.Heap()-after)/float64(s.flags.Live), 1)
	dir, remove, err := s.folder()
	if err != nil {
		return err
	}
	defer remove()
	stalls, err := b.Snapshot(dir)
	if err != nil {
		return err
	}
	r := &s.result
	r.Stall, r.StallFreeze, r.StallP99, r.StallBefore = millis(stalls.Longest), millis(stalls.Freeze), millis(stalls.P99), millis(stalls.Before)
	r.SnapshotSeconds, r.SnapshotMB, r.SnapshotReports = round(stalls.Write.Seconds(), 2), megabytes(stalls.Bytes), stalls.Reports
	return nil
}

// benchHosts is how many hosts compute where it does not matter.
const benchHosts = 64

// finished measures what finished tasks leave in the state.
func (s *stateBench) finished(ctx context.Context) error {
	b, err := statebench.New(benchHosts)
	if err != nil {
		return err
	}
	if err := b.Submit(s.flags.Tasks); err != nil {
		return err
	}
	if err := b.Finish(4096, func(uint64) error { return nil }); err != nil { // what work as such takes
		return err
	}
	before := statebench.Heap()
	if err := b.Finish(s.flags.Finished, s.counter(ctx, "tasks sealed", s.flags.Finished)); err != nil {
		return err
	}
	s.clear()
	s.result.StateGrowth = round(float64(int64(statebench.Heap()-before))/1e6, 2)
	runtime.KeepAlive(b)
	return nil
}

// The small job of the comparison, in tasks, and how often it is made. The
// fastest of each is compared: what else happens on a machine only adds.
const (
	tenfoldTasks  = 10 * 4096
	tenfoldRounds = 5
)

// tenfold compares ten jobs with one of as many tasks as all of them.
func (s *stateBench) tenfold(ctx context.Context) error {
	var small, large time.Duration
	for round := range tenfoldRounds {
		spent, err := s.computeJobs(ctx, 10, tenfoldTasks, fmt.Sprintf("ten small jobs, %d of %d", round+1, tenfoldRounds))
		if err != nil {
			return err
		}
		if small == 0 || spent < small {
			small = spent
		}
		if spent, err = s.computeJobs(ctx, 1, 10*tenfoldTasks, fmt.Sprintf("a large job, %d of %d", round+1, tenfoldRounds)); err != nil {
			return err
		}
		if large == 0 || spent < large {
			large = spent
		}
	}
	r := &s.result
	r.TaskMicros, r.TenfoldMicros = round(micros(small)/(10*tenfoldTasks), 2), round(micros(large)/(10*tenfoldTasks), 2)
	r.Tenfold = round(float64(large)/float64(small), 3)
	return nil
}

// computeJobs computes jobs one after the other, each in a state of its own, and
// returns the CPU time of it.
func (s *stateBench) computeJobs(ctx context.Context, jobs int, tasks uint64, what string) (spent time.Duration, err error) {
	for range jobs {
		b, err := statebench.New(benchHosts)
		if err != nil {
			return 0, err
		}
		_ = statebench.Heap() // each begins with nothing to collect
		began := cpuNow()
		if err := b.Submit(tasks); err != nil {
			return 0, err
		}
		if err := b.Finish(tasks, s.counter(ctx, "tasks: "+what, tasks)); err != nil {
			return 0, err
		}
		spent += cpuNow() - began
	}
	s.clear()
	return spent, nil
}
