package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/sheafgrid/sheaf/internal/usage"
)

// wanted is what one figure of a stateResult should be, at most.
type wanted struct {
	name, what, unit string
	got              float64
	atMost, aim      float64
}

// wants are what is wanted of a coordinator, on two cores.
func (r *stateResult) wants() []wanted {
	return []wanted{
		{"submit_ms", fmt.Sprintf("submit a job of %d tasks", r.Tasks), "ms", r.SubmitMillis, 100, 100},
		{"submit_growth_kb", "the state grows with it by", "KiB", r.SubmitGrowth, 64, 64},
		{"bytes_per_live_task", "memory of a live task with two attempts", "B", r.BytesPerLive, 192, 100},
		{"snapshot_stall_ms", fmt.Sprintf("longest entry during a snapshot of %d", r.Live), "ms", r.Stall, 60, 30},
		{"restart_s", fmt.Sprintf("restart with %d live tasks", r.RestartLive), "s", r.Restart, 5, 3},
		{"growth_mb_after_5m", fmt.Sprintf("memory after %d finished tasks, more", r.Finished), "MB", r.Growth, 32, 8},
		{"tenfold_ratio", "a task of a tenfold job costs", "times", r.Tenfold, 1.1, 1},
	}
}

// report prints the result: for people as a table.
func (s *stateBench) report() {
	r := &s.result
	rows := [][]string{}
	for _, w := range r.wants() {
		verdict := "yes"
		if w.got > w.atMost {
			verdict = "NO"
			r.Missed = append(r.Missed, w.name)
		}
		rows = append(rows, []string{w.what, number(w.got) + " " + w.unit, number(w.atMost) + " " + w.unit, number(w.aim) + " " + w.unit, verdict})
	}
	if s.json {
		s.print(r)
		return
	}
	s.say("")
	s.table([]string{"figure", "measured", "at most", "aim", "holds"}, rows)
	s.say("")
	s.say("The snapshot took %.2f s and %.1f MB; %d reports were applied meanwhile, 99 %% of the entries within %.1f ms; without a snapshot the longest took %.1f ms.",
		r.SnapshotSeconds, r.SnapshotMB, r.SnapshotReports, r.StallP99, r.StallBefore)
	s.say("Restarts took %v s, at most %.2f s of CPU, with a snapshot of %.1f MB and %d further entries of the log.", r.RestartEach, value(r.RestartCPU), r.RestartSnapshot, r.RestartEntries)
	s.say("The coordinator's heap had %.1f MB before any work, %.1f MB at work before and %.1f MB after; of the growth, the state itself is %.2f MB. Outputs on its disk: %.0f MB. It finished %.0f tasks/s.",
		r.HeapIdle, r.HeapBefore, r.HeapAfter, r.StateGrowth, r.OutputsMB, r.FinishedPerSec)
	s.say("State machine and scheduler take %.2f µs of CPU a task, %.2f µs in the tenfold job.", r.TaskMicros, r.TenfoldMicros)
	if value(r.OthersCPU) > maxSteal {
		s.say("Other programs took %.0f %% of the processors during the restarts: they could be faster.", *r.OthersCPU)
	}
	switch {
	case r.Steal == nil:
	case *r.Steal > maxSteal:
		s.say("Steal was %.1f %%: this machine's host took too much away; the times DO NOT COUNT.", *r.Steal)
	default:
		s.say("Steal was %.1f %%.", *r.Steal)
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func megabytes(n int64) float64 { return round(float64(n)/1e6, 1) }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// folder makes a folder for what is to be measured.
func (s *stateBench) folder() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(s.flags.Dir, "sheaf-state-")
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintf(s.stderr, "sheaf: %v\n", err)
		}
	}, err
}

// counter shows how far something is, now and then. What it returns ends the
// work when ctx ends.
func (s *stateBench) counter(ctx context.Context, what string, whole uint64) func(uint64) error {
	_, terminal := s.terminal()
	last := time.Now()
	return func(done uint64) error {
		if terminal && time.Since(last) > 200*time.Millisecond {
			last = time.Now()
			fmt.Fprintf(s.stdout, "\r\x1b[K  %d of %d %s", done, whole, what)
		}
		return ctx.Err()
	}
}

// clear takes away what a counter showed.
func (s *stateBench) clear() {
	if _, terminal := s.terminal(); terminal {
		fmt.Fprint(s.stdout, "\r\x1b[K")
	}
}

// cpuNow is the CPU time of this process, where the system tells it, or else
// the time.
func cpuNow() time.Duration {
	if u, err := usage.Of(os.Getpid()); err == nil {
		return u.CPU
	}
	return time.Duration(time.Now().UnixNano())
}
