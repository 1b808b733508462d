package dispatch

import (
	"context"
	"sync/atomic"

	"github.com/sheafgrid/sheaf/coordinator/schedule"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// assigned is a task as the state knows it: what Tasks makes the whole of.
type assigned struct {
	stage task.StageID
	job   task.JobID
	spec  *task.JobSpec
	level uint8
	index task.Digest
	i     uint64
}

func assignedAt(s *state.State, stage task.StageID, i uint64) assigned {
	st := s.Stage(stage)
	j, spec := s.Job(st.Job)
	return assigned{stage: stage, job: j.ID, spec: spec, level: st.Level, index: st.Index, i: i}
}

// limits are those of the task.
func (a *assigned) limits() task.Limits {
	if a.level > 0 {
		return a.spec.Reduce.Limits
	}
	return a.spec.Limits
}

// whole is a task that was made, with its checksum. Nobody changes it.
type whole struct {
	stage task.StageID
	task  task.Task
	sum   task.Digest
}

// made remembers the tasks that were made last: each is handed out several times,
// mostly soon one after the other. A task has one place, which it shares with
// others; the one that came last is there.
type made struct {
	places [madePlaces]atomic.Pointer[whole]
}

const madePlaces = 1 << 12

func (m *made) place(a *assigned) *atomic.Pointer[whole] { return &m.places[a.spread()%madePlaces] }

// spread puts tasks that are near each other into different places.
func (a *assigned) spread() uint64 { return a.i + uint64(a.stage)*0x9e3779b97f4a7c15 }

func (d *Dispatcher) taskOf(ctx context.Context, a *assigned) (*whole, error) {
	place := d.made.place(a)
	if w := place.Load(); w != nil && w.stage == a.stage && w.task.Index == a.i {
		return w, nil
	}
	t, err := d.tasks.Of(ctx, a.job, a.spec, a.level, a.index, a.i)
	if err != nil {
		return nil, &protocol.Error{Code: protocol.CodeOverloaded, Text: err.Error(), RetryMillis: 1000}
	}
	w := &whole{stage: a.stage, task: t}
	var known bool
	if w.sum, known = d.sums.get(a); !known {
		w.sum = t.Sum()
		d.sums.put(a, w.sum)
	}
	place.Store(w)
	return w, nil
}

// sumOf is the checksum of a task.
func (d *Dispatcher) sumOf(ctx context.Context, a *assigned) (task.Digest, error) {
	if sum, ok := d.sums.get(a); ok {
		return sum, nil
	}
	w, err := d.taskOf(ctx, a)
	if err != nil {
		return task.Digest{}, err
	}
	return w.sum, nil
}

// replyTasks bounds the tasks of one reply, in bytes; the rest of it is small.
const replyTasks = protocol.MaxReply * 3 / 4

// makeTasks makes the tasks of what was picked before it is given away: an
// attempt whose task cannot be made, or does not fit into the reply, would be
// lost. What does not fit is picked again at the next exchange.
func (d *Dispatcher) makeTasks(ctx context.Context, c *contact, picks []schedule.Pick) ([]state.Assignment, error) {
	d.node.View(func(s *state.State) {
		for _, p := range picks {
			c.tasks = append(c.tasks, assignedAt(s, p.Stage, p.Index))
		}
	})
	total := 0
	for i := range c.tasks {
		w, err := d.taskOf(ctx, &c.tasks[i])
		if err != nil {
			return nil, err
		}
		if total += size(&w.task); total > replyTasks && i > 0 {
			break
		}
		c.assign = append(c.assign, state.Assignment{Stage: picks[i].Stage, Index: picks[i].Index})
	}
	return c.assign, nil
}

// size is no less than what an attempt at a task takes in a reply, in bytes.
func size(t *task.Task) int {
	n := 1024
	for _, a := range t.Args {
		n += len(a) + 8
	}
	for i := range t.Inputs {
		n += len(t.Inputs[i].Path) + 160
	}
	return n
}
