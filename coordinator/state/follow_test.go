package state_test

import (
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// standing is what the scheduler goes by of a job. Of one that has ended it is
// only that.
type standing struct {
	running       bool
	stage         task.StageID
	count, cursor uint64
	open, project int
	waiting       uint64
}

func standingOf(s *state.State, n task.JobNumber) standing {
	j, _ := s.Job(n)
	id := s.CurrentStage(n)
	st := s.Stage(id)
	if j.State != state.JobRunning {
		return standing{}
	}
	return standing{
		running: true, stage: id, count: st.Count, cursor: st.Cursor,
		open: s.StageOpen(id), project: s.ProjectOpen(j.Project), waiting: s.WaitingCount(id),
	}
}

// Who looks only at the jobs that have changed knows all of them; a replica that
// was restored tells the running ones.
func TestChangedLeavesNothingOut(t *testing.T) {
	for seed := range uint64(6) {
		c := newChaos(t, 100+seed)
		known, moment := map[task.JobNumber]standing{}, uint64(0)
		told := 0
		follow := func() {
			var list []task.JobNumber
			before := moment
			if list, moment = c.s.Changed(moment, nil); moment < before || moment == 0 {
				t.Fatalf("seed %d: moment %d follows %d", seed, moment, before)
			}
			for k, n := range list {
				if slices.Contains(list[:k], n) {
					t.Fatalf("seed %d: job %d was told twice", seed, n)
				}
				known[n] = standingOf(c.s, n)
			}
			told += len(list)
		}
		steps := 0
		for range 300 {
			c.step()
			if c.rnd.IntN(3) == 0 {
				continue // several entries at once
			}
			follow()
			for n := task.JobNumber(1); n <= c.s.Jobs(); n++ {
				steps++
				now := standingOf(c.s, n)
				was, ok := known[n]
				was.project = now.project // told on account of the job that changed it
				if (ok || now.running) && was != now {
					t.Fatalf("seed %d: job %d is %+v, known is %+v", seed, n, now, was)
				}
			}
		}
		follow()
		if list, _ := c.s.Changed(moment, nil); len(list) != 0 || told*2 > steps {
			t.Errorf("seed %d: %d of %d were told, and %v although nothing changed", seed, told, steps, list)
		}
		restored := c.copied()
		if list, _ := restored.Changed(0, nil); !slices.Equal(list, restored.ActiveJobs()) {
			t.Errorf("seed %d: a restored replica tells %v, %v run", seed, list, restored.ActiveJobs())
		}
	}
}

// A project's count of attempts is known from the jobs that changed: every
// change of it comes with one of its jobs.
func TestChangedTellsOfProjects(t *testing.T) {
	c := newChaos(t, 3)
	known, moment := 0, uint64(0)
	for range 300 {
		c.step()
		var list []task.JobNumber
		if list, moment = c.s.Changed(moment, nil); len(list) > 0 {
			known = c.s.ProjectOpen(1)
		}
		if known != c.s.ProjectOpen(1) {
			t.Fatalf("%d attempts of the project are out, known are %d", c.s.ProjectOpen(1), known)
		}
	}
}

// What is overdue is found, soonest first by level, whatever was looked at
// before, and found again until an entry ends it.
func TestExpiredFindsAllThatIsOverdue(t *testing.T) {
	for seed := range uint64(6) {
		c := newChaos(t, 200+seed)
		found := 0
		for range 200 {
			c.step()
			c.now += task.Millis(c.rnd.IntN(500))
			c.apply(&state.Expire{})
			var want []task.AttemptID
			for n := task.JobNumber(1); n <= c.s.Jobs(); n++ {
				j, _ := c.s.Job(n)
				for _, id := range j.Stages {
					for i := range c.s.Stage(id).Cursor {
						c.s.Attempts(id, i, func(a task.AttemptID, x *state.Attempt) {
							if x.State == state.AttemptOpen && x.Deadline <= c.now {
								want = append(want, a)
							}
						})
					}
				}
			}
			for range 2 {
				if c.rnd.IntN(2) == 0 {
					c.s.Expired(c.now, 1+c.rnd.IntN(3))
				}
				got := c.s.Expired(c.now, 10_000)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d: %v are overdue, found %v", seed, want, got)
				}
			}
			found += len(want)
		}
		if found == 0 {
			t.Errorf("seed %d: nothing was overdue", seed)
		}
	}
}
