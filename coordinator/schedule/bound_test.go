package schedule

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

// counted is a crowd that counts the tasks which are looked at.
type counted struct {
	*crowd
	looks int
}

func (c *counted) Waiting(stage task.StageID, from uint64) (uint64, bool) {
	c.looks++
	j := c.jobs[stage-1] // job n has stage n here
	for i := from; i < uint64(len(j.want)); i++ {
		if j.want[i] > 0 {
			return i, true
		}
	}
	return 0, false
}

func (c *counted) Wanted(stage task.StageID, i uint64) int { return c.jobs[stage-1].want[i] }

func (c *counted) Taken(stage task.StageID, i uint64, a task.AccountID) bool {
	return slices.Contains(c.jobs[stage-1].taken[i], a)
}

// stuck adds a job of which all was begun, and all that waits is for others than
// account 1.
func (c *counted) stuck(tasks int) *crowdJob {
	j := &crowdJob{taken: map[uint64][]task.AccountID{}}
	j.Project, j.Running, j.Stage, j.Count, j.Replicate, j.Memory = 1, true, task.StageID(len(c.jobs)+1), uint64(tasks), 2, 1
	for i := range uint64(tasks) {
		j.want = append(j.want, 1)
		j.taken[i] = []task.AccountID{1}
	}
	c.jobs = append(c.jobs, j)
	c.stages = append(c.stages, 1)
	c.touch(j)
	return j
}

// An account that has done its part of very many jobs does not go over all of
// them. It gets untouched tasks at once, although their job comes last; and in
// the end a task of the one job among them that waits for it.
func TestJobsThatWaitForOthersAreNotAllLookedAt(t *testing.T) {
	for _, tasks := range []int{1, 300} {
		c := &counted{crowd: &crowd{rnd: rand.New(rand.NewPCG(1, 2)), moment: 1}}
		for range 2000 {
			c.stuck(tasks)
		}
		fresh := c.stuck(5)
		fresh.want, fresh.taken, fresh.Replicate = nil, nil, 1
		o := NewOverlay()
		h := Host{ID: 1, Account: 1, MayHold: 1000, Allow: []string{"1"}}
		for _, h.AllowAll = range []bool{true, false} {
			c.looks = 0
			picks, reason := For(c, o, h, 9, c.rnd.Uint64N)
			if len(picks) != 5 || reason != task.ReasonAllGiven || picks[0].Stage != fresh.Stage {
				t.Errorf("%d tasks each: got %v because %q, want the 5 tasks that were not begun, because %q", tasks, picks, reason, task.ReasonAllGiven)
			}
			if most := 4 * maxVain; c.looks > most {
				t.Errorf("%d tasks each: looked at %d tasks in vain, at most %d", tasks, c.looks, most)
			}
			o.Settle(picks, false, h)
		}
		fresh.Running = false
		c.touch(fresh)
		last := c.jobs[1990]
		last.taken = nil
		for _, h.AllowAll = range []bool{true, false} {
			contacts := 0
			for ; contacts < 50_000; contacts++ {
				if picks, _ := For(c, o, h, 1, c.rnd.Uint64N); len(picks) > 0 {
					if picks[0].Stage != last.Stage {
						t.Fatalf("got %v, want a task of stage %d", picks, last.Stage)
					}
					o.Settle(picks, false, h)
					break
				}
			}
			if contacts == 50_000 {
				t.Errorf("%d tasks each: the job behind %d others was never found", tasks, 1990)
			}
			t.Logf("%d tasks each: found at contact %d", tasks, contacts)
		}
	}
}

// Jobs that need more memory than a host has are not gone over, nor are those
// of projects that it does not allow.
func TestWhatAHostCannotComputeIsNotLookedAt(t *testing.T) {
	c := &counted{crowd: &crowd{rnd: rand.New(rand.NewPCG(1, 2)), moment: 1}}
	for k := range 1000 {
		j := c.stuck(1)
		j.want, j.Memory, j.Project = nil, uint64(2+k), task.ProjectID(1+k%2)
	}
	small, other := c.stuck(1), c.stuck(1)
	small.Project, other.Project = 2, 3
	small.taken, other.taken = nil, nil
	for _, x := range []struct {
		host Host
		want task.StageID
		why  task.Reason
	}{
		{Host{Memory: 1, AllowAll: true}, small.Stage, task.ReasonMemory},
		{Host{Memory: 1, Allow: []string{"2"}}, small.Stage, task.ReasonNotAllowed},
		{Host{Memory: 1, Allow: []string{"1"}}, 0, task.ReasonNotAllowed},
		{Host{Memory: 1, Allow: []string{"3", "3", "9"}}, other.Stage, task.ReasonNotAllowed},
		{Host{Memory: math.MaxUint64, Allow: []string{"3"}}, other.Stage, task.ReasonNotAllowed},
	} {
		o := NewOverlay()
		c.looks = 0
		x.host.MayHold, x.host.Account = 10, 1
		picks, why := For(c, o, x.host, 3, c.rnd.Uint64N)
		if why != x.why || (x.want != 0) != slices.ContainsFunc(picks, func(p Pick) bool { return p.Stage == x.want }) {
			t.Errorf("%+v got %v because %q, want one of stage %d, because %q", x.host, picks, why, x.want, x.why)
		}
		if c.looks > 20 {
			t.Errorf("%+v: %d tasks were looked at", x.host, c.looks)
		}
	}
}
