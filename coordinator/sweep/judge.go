package sweep

import (
	"context"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/validation"
)

// maxPerCommand bounds verdicts and expiries of one command, so that it fits
// into a log entry: a verdict takes up to 24 bytes. There is one command at a
// time, so this bounds what is judged in the time that an entry takes, too.
const maxPerCommand = 8192

// judging is what the loop that judges works in: the lists of the last round are
// filled again.
type judging struct {
	verdicts []state.Verdict
	votes    []validation.Vote // of the task that is judged now
	ids      []task.AttemptID
}

// judge decides tasks whose results are in.
func (s *Sweeper) judge(ctx context.Context) (bool, error) {
	g := &s.judging
	g.verdicts = g.verdicts[:0]
	s.node.View(func(st *state.State) {
		for stage, ok := st.NextRipe(0); ok && len(g.verdicts) < maxPerCommand; stage, ok = st.NextRipe(stage + 1) {
			_, spec := st.Job(st.Stage(stage).Job)
			for i, ok := st.Ripe(stage, 0); ok && len(g.verdicts) < maxPerCommand; i, ok = st.Ripe(stage, i+1) {
				g.verdicts = append(g.verdicts, g.decide(st, spec.Check, stage, i))
			}
		}
	})
	if len(g.verdicts) == 0 {
		return false, nil
	}
	_, err := s.node.Propose(ctx, &state.Judge{Verdicts: g.verdicts})
	return true, err
}

// decide is the verdict on one task as validation sees it.
func (g *judging) decide(st *state.State, check task.Check, stage task.StageID, i uint64) state.Verdict {
	g.votes, g.ids = g.votes[:0], g.ids[:0]
	st.Attempts(stage, i, func(id task.AttemptID, a *state.Attempt) {
		if a.State == state.AttemptReported {
			g.votes = append(g.votes, validation.Vote{Exit: a.Exit, Output: a.Output, Work: a.Work})
			g.ids = append(g.ids, id)
		}
	})
	t, _ := st.Task(stage, i)
	v := state.Verdict{Stage: stage, Index: i}
	switch d := validation.Decide(check, g.votes, int(t.Open)+int(t.Want), int(t.Tries)); d.Kind {
	case validation.Accept:
		v.Winner = g.ids[d.Winner]
	case validation.More:
		v.More = uint8(d.More)
	case validation.Fail:
		v.Fail = state.FailDisagree
		if len(g.votes) == 0 {
			v.Fail = state.FailNoResult
		}
	case validation.Wait:
	}
	return v
}

// release makes chunks final whose tasks are all decided.
func (s *Sweeper) release(ctx context.Context) (bool, error) {
	var ready []*state.Release
	s.node.View(func(st *state.State) {
		for stage, ok := st.NextReady(0); ok; stage, ok = st.NextReady(stage + 1) {
			for c, ok := st.NextReleasable(stage, 0); ok; c, ok = st.NextReleasable(stage, c+1) {
				ready = append(ready, &state.Release{Stage: stage, Chunk: c})
			}
		}
	})
	for _, r := range ready {
		if _, err := s.node.Propose(ctx, r); err != nil {
			return true, err
		}
	}
	return len(ready) > 0, nil
}

// expire ends attempts whose deadline has passed. With none, it still tells the
// log the time now and then.
func (s *Sweeper) expire(ctx context.Context) error {
	now := s.node.Now()
	var overdue []task.AttemptID
	var last task.Millis
	s.node.View(func(st *state.State) {
		overdue, last = st.Expired(now, maxPerCommand), st.Cluster().Now
	})
	if len(overdue) == 0 && now-last < task.Millis(tickEvery.Milliseconds()) {
		return nil
	}
	_, err := s.node.Propose(ctx, &state.Expire{Attempts: overdue})
	return err
}
