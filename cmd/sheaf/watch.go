package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

type jobWatchCommand struct {
	Job         task.JobID `arg:"" help:"The job's id."`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*jobWatchCommand) Help() string {
	return "Example:\n\n    sheaf job watch k3j2q7xw5mznh4ta --server http://127.0.0.1:7710\n\nIt ends with the job. Exit codes: 0 when it is done and every task of it ended with 0; 5 when it is done, but tasks ended with an error of the program or failed; 1 when it was cancelled; 130 after Ctrl-C, which stops watching, not the job."
}

// Run follows a job.
func (c *jobWatchCommand) Run(a *app) error {
	s, err := c.reader(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	return s.watch(a, c.Job)
}

// watchEvery is how often a job is looked at.
const watchEvery = 500 * time.Millisecond

// watch follows a job until it ends, and tells whom Ctrl-C takes away that the
// job does not end with it.
func (s *session) watch(a *app, id task.JobID) error {
	err := s.follow(a, id)
	if a.ctx.Err() != nil && errors.Is(err, context.Canceled) && !a.json {
		fmt.Fprintf(a.stderr, "The job goes on in the cluster. Follow it with: sheaf job watch %s --server %s; end it with: sheaf job cancel %s --server %s\n",
			id, s.servers, id, s.servers)
	}
	return err
}

// follow shows a job until it ends: bars on a terminal, a line for each change
// elsewhere, an object for each change with --json.
func (s *session) follow(a *app, id task.JobID) error {
	v := newJobMeter(a)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		j, err := s.job(a.ctx, id)
		if err != nil {
			v.end()
			return err
		}
		v.show(j)
		if j.State != "running" {
			v.end()
			if !a.json {
				kinds, err := s.taskErrors(a.ctx, j)
				if err != nil {
					return err
				}
				showJob(a, j)
				showTaskErrors(a, j, kinds)
			}
			return verdict(j)
		}
		select {
		case <-a.ctx.Done():
			v.end()
			return a.ctx.Err()
		case <-tick.C:
		}
	}
}

// verdict is nil for a job that is done and of which every task ended with 0.
// What is less is an error, since a script must be able to tell.
func verdict(j protocol.JobView) error {
	if j.State == "cancelled" {
		return fmt.Errorf("job %s was cancelled", j.Job)
	}
	var bad, all uint64
	for _, l := range j.Levels {
		bad, all = bad+l.Errors+l.Failed, all+l.Tasks
	}
	if bad > 0 {
		return failure{fmt.Errorf("job %s is done, but %d of %s ended with an error; see them with: sheaf job show %s", j.Job, bad, plural(all, "task"), j.Job), exitTaskErrors}
	}
	return nil
}

// jobMeter shows a job's progress.
type jobMeter struct {
	app   *app
	width int      // of the terminal; 0: there is none
	drawn []string // on the terminal, to be drawn over
	last  string
	said  []string // the lines last written, where there is no terminal
	began time.Time
}

func newJobMeter(a *app) *jobMeter {
	m := &jobMeter{app: a, began: time.Now()}
	m.width, _ = a.terminal()
	return m
}

// show draws a job's progress, if it has changed.
func (m *jobMeter) show(j protocol.JobView) {
	lines := meterLines(j, m.width)
	text := strings.Join(lines, "\n")
	if m.app.json {
		shown := fmt.Sprint(j.State, text)
		if shown != m.last {
			m.last = shown
			m.app.print(j)
		}
		return
	}
	if m.width == 0 {
		if text != m.last {
			m.last = text
			for i, l := range lines {
				if i < len(m.said) && m.said[i] == l {
					continue // of a level that stands still
				}
				m.app.say("%8s  %s", durationText(time.Since(m.began).Round(time.Second)), l)
			}
			m.said = lines
		}
		return
	}
	m.clear()
	m.drawn = lines
	m.draw()
}

// draw draws the picture once more, as after something was written above it.
func (m *jobMeter) draw() {
	for _, l := range m.drawn {
		fmt.Fprintf(m.app.stdout, "%s\n", clipLine(l, m.width))
	}
}

// clear takes back what was drawn, which draw can bring again.
func (m *jobMeter) clear() {
	if len(m.drawn) > 0 {
		fmt.Fprintf(m.app.stdout, "\x1b[%dA\x1b[J", len(m.drawn))
	}
}

// end leaves the last picture standing.
func (m *jobMeter) end() { m.drawn = nil }

// meterLines says how far each level is: in bars of a terminal's width, or in
// words where width is 0.
func meterLines(j protocol.JobView, width int) []string {
	var lines []string
	for k, l := range j.Levels {
		name := levelName(l.Level)
		// The publisher sees what was accepted; anyone else what was begun.
		done, word := l.Begun, "begun"
		if p := j.Progress; p != nil && k == len(j.Levels)-1 {
			done, word = p.Accepted+p.Failed, "accepted"
		}
		if l.Released == l.Tasks {
			done, word = l.Tasks, "final"
		}
		text := fmt.Sprintf("%d of %d %s", done, l.Tasks, word)
		if p := j.Progress; p != nil && p.Wrong > 0 && k == len(j.Levels)-1 {
			text += fmt.Sprintf(", %d wrong refused", p.Wrong)
		}
		if width > 0 {
			lines = append(lines, fmt.Sprintf("%-12s %s %s", name, bar(done, l.Tasks, max(10, width-60)), text))
		} else {
			lines = append(lines, name+": "+text)
		}
	}
	if j.WaitsFor != "" && width > 0 {
		lines = append(lines, j.WaitsFor)
	}
	return lines
}

// clipLine keeps a line from wrapping, which would spoil the redrawing.
func clipLine(s string, width int) string {
	r := []rune(s)
	if len(r) >= width {
		return string(r[:width-1])
	}
	return s
}
