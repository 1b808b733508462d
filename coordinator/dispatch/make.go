package dispatch

import (
	"context"

	"github.com/sheafgrid/sheaf/coordinator/schedule"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// assigned is a task as the state knows it: what Tasks makes the whole of.
type assigned struct {
	job   task.JobID
	spec  *task.JobSpec
	level uint8
	index task.Digest
	i     uint64
}

func assignedAt(s *state.State, stage task.StageID, i uint64) assigned {
	st := s.Stage(stage)
	j, spec := s.Job(st.Job)
	return assigned{job: j.ID, spec: spec, level: st.Level, index: st.Index, i: i}
}

func (d *Dispatcher) taskOf(ctx context.Context, a assigned) (task.Task, error) {
	t, err := d.tasks.Of(ctx, a.job, a.spec, a.level, a.index, a.i)
	if err != nil {
		err = &protocol.Error{Code: protocol.CodeOverloaded, Text: err.Error(), RetryMillis: 1000}
	}
	return t, err
}

// replyTasks bounds the tasks of one reply, in bytes; the rest of it is small.
const replyTasks = protocol.MaxReply * 3 / 4

// makeTasks makes the tasks of what was picked before it is given away: an
// attempt whose task cannot be made, or does not fit into the reply, would be
// lost. What does not fit is picked again at the next exchange.
func (d *Dispatcher) makeTasks(ctx context.Context, c *contact, picks []schedule.Pick) ([]state.Assignment, error) {
	var assign []state.Assignment
	c.made = make(map[state.Assignment]task.Task, len(picks))
	total := 0
	for _, p := range picks {
		var a assigned
		d.node.View(func(s *state.State) { a = assignedAt(s, p.Stage, p.Index) })
		t, err := d.taskOf(ctx, a)
		if err != nil {
			return nil, err
		}
		if total += size(&t); total > replyTasks && len(assign) > 0 {
			break
		}
		place := state.Assignment{Stage: p.Stage, Index: p.Index}
		assign, c.made[place] = append(assign, place), t
	}
	return assign, nil
}

// size is no less than what an attempt at a task takes in a reply, in bytes.
func size(t *task.Task) int {
	n := 1024
	for _, a := range t.Args {
		n += len(a) + 8
	}
	for i := range t.Inputs {
		n += len(t.Inputs[i].Path) + 128
	}
	return n
}
