package schedule

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

// crowd is a view that changes: jobs that come, go, open levels and have tasks
// in every state, with the picks that are on their way.
type crowd struct {
	rnd    *rand.Rand
	jobs   []*crowdJob // number n is in place n-1
	moment uint64
	stages []task.ProjectID // stage n is in place n-1
	open   []crowdAttempt
	onWay  []onWay
}

type crowdJob struct {
	JobFacts
	want    []int // of the touched tasks
	taken   map[uint64][]task.AccountID
	back    map[uint64]bool // tasks that were picked in vain: no longer simply untouched
	changed uint64
}

type crowdAttempt struct {
	job   *crowdJob
	stage task.StageID
	index uint64
}

type onWay struct {
	host  Host
	picks []Pick
}

func (c *crowd) Changed(since uint64, list []task.JobNumber) ([]task.JobNumber, uint64) {
	for i, j := range c.jobs {
		if j.changed > since {
			list = append(list, task.JobNumber(i+1))
		}
	}
	return list, c.moment
}

func (c *crowd) JobFacts(n task.JobNumber) JobFacts {
	j := c.jobs[n-1]
	f := j.JobFacts
	f.Cursor = uint64(len(j.want))
	f.Waiting = slices.ContainsFunc(j.want, func(w int) bool { return w > 0 })
	for _, a := range c.open {
		if a.stage == j.Stage {
			f.Open++
		}
	}
	return f
}

func (c *crowd) ProjectOpen(p task.ProjectID) (n int) {
	for _, a := range c.open {
		if a.job.Project == p {
			n++
		}
	}
	return n
}

func (c *crowd) ProjectByName(name string) (task.ProjectID, bool) {
	n, err := strconv.Atoi(name)
	return task.ProjectID(n), err == nil
}

func (c *crowd) of(stage task.StageID) *crowdJob {
	return c.jobs[slices.IndexFunc(c.jobs, func(j *crowdJob) bool { return j.Stage == stage })]
}

func (c *crowd) Waiting(stage task.StageID, from uint64) (uint64, bool) {
	j := c.of(stage)
	for i := from; i < uint64(len(j.want)); i++ {
		if j.want[i] > 0 {
			return i, true
		}
	}
	return 0, false
}

func (c *crowd) Wanted(stage task.StageID, i uint64) int { return c.of(stage).want[i] }

func (c *crowd) Taken(stage task.StageID, i uint64, a task.AccountID) bool {
	return slices.Contains(c.of(stage).taken[i], a)
}

func (c *crowd) touch(j *crowdJob) {
	c.moment++
	j.changed = c.moment
}

// submit adds a job.
func (c *crowd) submit() {
	j := &crowdJob{}
	j.Project, j.Running = task.ProjectID(1+c.rnd.IntN(4)), true
	j.Memory = uint64(1 + c.rnd.IntN(4))
	c.jobs = append(c.jobs, j)
	c.level(j)
}

// level opens a job's first or next level.
func (c *crowd) level(j *crowdJob) {
	c.open = slices.DeleteFunc(c.open, func(a crowdAttempt) bool { return a.stage == j.Stage })
	c.stages = append(c.stages, j.Project)
	j.Stage, j.Count, j.Replicate = task.StageID(len(c.stages)), uint64(1+c.rnd.IntN(12)), 1+c.rnd.IntN(3)
	j.want, j.taken, j.back = nil, map[uint64][]task.AccountID{}, map[uint64]bool{}
	c.touch(j)
}

// change does something to a job that is no pick.
func (c *crowd) change() {
	if len(c.jobs) == 0 {
		return
	}
	j := c.jobs[c.rnd.IntN(len(c.jobs))]
	switch p := c.rnd.IntN(12); {
	case p == 0 && j.Running:
		j.Running = false // what is out stays out
	case p == 1 && j.Running:
		c.level(j)
	case p < 8 && len(c.open) > 0: // a result, or an attempt that is lost
		k := c.rnd.IntN(len(c.open))
		a := c.open[k]
		c.open = slices.Delete(c.open, k, k+1)
		if j = a.job; a.stage == j.Stage && c.rnd.IntN(2) == 0 {
			j.want[a.index]++
			if t := j.taken[a.index]; len(t) > 0 {
				j.taken[a.index] = t[:len(t)-1]
			}
		}
	case len(j.want) > 0:
		j.want[c.rnd.IntN(len(j.want))] = c.rnd.IntN(3)
	}
	c.touch(j)
}

// settle ends one exchange that is on its way, and does what it says.
func (c *crowd) settle(o *Overlay) {
	if len(c.onWay) == 0 {
		return
	}
	k := c.rnd.IntN(len(c.onWay))
	x := c.onWay[k]
	c.onWay = slices.Delete(c.onWay, k, k+1)
	all := c.rnd.IntN(4) > 0
	for _, p := range x.picks {
		at := slices.IndexFunc(c.jobs, func(j *crowdJob) bool { return j.Stage == p.Stage })
		if at < 0 {
			continue // the level is over
		}
		if j := c.jobs[at]; all || c.rnd.IntN(2) == 0 {
			for uint64(len(j.want)) <= p.Index {
				j.want = append(j.want, j.Replicate)
			}
			if j.want[p.Index] > 0 && !slices.Contains(j.taken[p.Index], x.host.Account) {
				j.want[p.Index]--
				j.taken[p.Index] = append(j.taken[p.Index], x.host.Account)
				c.open = append(c.open, crowdAttempt{j, p.Stage, p.Index})
			}
			c.touch(j)
		} else {
			j.back[p.Index] = true
		}
	}
	o.Settle(x.picks, all, x.host)
}

// given counts who was picked for a task and is not settled, beside those that
// the contact at hand has got.
func (c *crowd) given(p Pick, more onWay) (accounts []task.AccountID) {
	for _, x := range append(slices.Clone(c.onWay), more) {
		if slices.Contains(x.picks, p) {
			accounts = append(accounts, x.host.Account)
		}
	}
	return accounts
}

// wants is how many attempts task i wants beyond those picked, and whether the
// host may have one.
func (c *crowd) wants(j *crowdJob, i uint64, got onWay) (n int, may bool) {
	given := c.given(Pick{j.Stage, i}, got)
	n = j.Replicate - len(given)
	if i < uint64(len(j.want)) {
		n = j.want[i] - len(given)
	}
	return n, n > 0 && !slices.Contains(given, got.host.Account) && !slices.Contains(j.taken[i], got.host.Account)
}

// standing is what the plain rule looks at: of every job.
type standing struct {
	number                   int
	project, ofProject, ofIt int
	mine, others, begun      bool // a task is for the host; for others only; one of its own was begun
	allowed, fits            bool
}

// look goes over every task of every job.
func (c *crowd) look(got onWay) (all []standing) {
	for n, j := range c.jobs {
		if !j.Running {
			continue
		}
		s := standing{number: n, project: int(j.Project), ofProject: c.ProjectOpen(j.Project), ofIt: c.JobFacts(task.JobNumber(n + 1)).Open}
		for _, x := range append(slices.Clone(c.onWay), got) {
			for _, p := range x.picks {
				if c.stages[p.Stage-1] == j.Project { // be its level over or not
					s.ofProject++
				}
				if p.Stage == j.Stage {
					s.ofIt++
				}
			}
		}
		s.allowed = got.host.AllowAll || slices.Contains(got.host.Allow, strconv.Itoa(int(j.Project)))
		s.fits = got.host.Memory == 0 || j.Memory <= got.host.Memory
		for i := range j.Count {
			wants, may := c.wants(j, i, got)
			s.mine = s.mine || may
			s.others = s.others || wants > 0 && !may
			s.begun = s.begun || may && c.begun(j, i, got)
		}
		all = append(all, s)
	}
	return all
}

func (c *crowd) begun(j *crowdJob, i uint64, got onWay) bool {
	return i < uint64(len(j.want)) || len(c.given(Pick{j.Stage, i}, got)) > 0
}

// fairest is the plain rule: of all jobs that have something for the host, the
// one of the project with the fewest attempts out, of the oldest of those; in
// it the job with the fewest; then the oldest.
func fairest(all []standing) (best standing, ok bool) {
	for _, s := range all {
		if !s.allowed || !s.fits || !s.mine {
			continue
		}
		if !ok || cmp.Or(cmp.Compare(s.ofProject, best.ofProject), cmp.Compare(s.project, best.project), cmp.Compare(s.ofIt, best.ofIt), cmp.Compare(s.number, best.number)) < 0 {
			best, ok = s, true
		}
	}
	return best, ok
}

// why is the reason for getting nothing more.
func why(all []standing) task.Reason {
	c := contact{reason: task.ReasonNoJobs}
	for _, s := range all {
		switch {
		case !s.allowed:
			c.because(task.ReasonNotAllowed)
		case !s.fits && (s.mine || s.others):
			c.because(task.ReasonMemory)
		case s.fits && s.others:
			c.because(task.ReasonAllGiven)
		default:
			c.because(task.ReasonInFlight)
		}
	}
	return c.reason
}

// ask is one contact; each pick must be what the plain rule says.
func (c *crowd) ask(t *testing.T, o *Overlay) {
	h := Host{ID: task.HostID(1 + c.rnd.IntN(6)), MayHold: 20, Memory: uint64(c.rnd.IntN(5)), AllowAll: c.rnd.IntN(2) == 0}
	h.Account = task.AccountID(1 + h.ID/2)
	for range c.rnd.IntN(4) {
		h.Allow = append(h.Allow, strconv.Itoa(1+c.rnd.IntN(5)))
	}
	room := h.MayHold
	for _, x := range c.onWay {
		if x.host.ID == h.ID {
			room -= len(x.picks)
		}
	}
	want := c.rnd.IntN(9)
	picks, reason := For(c, o, h, want, c.rnd.Uint64N)
	got := onWay{host: h}
	for n, p := range picks {
		best, ok := fairest(c.look(got))
		if !ok {
			t.Fatalf("pick %d is %v, and nothing is for %+v", n, p, h)
		}
		j := c.jobs[best.number]
		if j.Stage != p.Stage {
			t.Fatalf("pick %d of %+v is %v, the turn is that of job %d with stage %d: %+v", n, h, p, best.number+1, j.Stage, c.look(got))
		}
		if _, may := c.wants(j, p.Index, got); !may || p.Index >= j.Count {
			t.Fatalf("T2: pick %d of %+v is %v, which is not for it", n, h, p)
		}
		if best.begun && !c.begun(j, p.Index, got) && !j.back[p.Index] {
			t.Fatalf("pick %d of %+v is %v, and tasks that were begun wait", n, h, p)
		}
		got.picks = append(got.picks, p)
	}
	all := c.look(got)
	expected := why(all)
	switch {
	case len(picks) == want:
		expected = task.ReasonNone
	case len(picks) >= room:
		expected = task.ReasonHostFull
	default:
		if best, ok := fairest(all); ok {
			t.Fatalf("%+v got %v of %d; job %d has something for it", h, picks, want, best.number+1)
		}
	}
	// Whether nothing of a job is left is found when it is looked at: by a host
	// that has the memory for it.
	if reason != expected && (expected != task.ReasonInFlight || reason != task.ReasonMemory || h.Memory == 0) {
		t.Fatalf("%+v got %v of %d because %q, want %q: %+v", h, picks, want, reason, expected, all)
	}
	if len(picks) > 0 {
		c.onWay = append(c.onWay, got)
	}
}

// The queues give what going over everything for each pick would.
func TestPicksFollowThePlainRule(t *testing.T) {
	for seed := range uint64(150) {
		c := &crowd{rnd: rand.New(rand.NewPCG(seed, 11)), moment: 1}
		o := NewOverlay()
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Logf("seed %d", seed)
			for range 120 {
				switch p := c.rnd.IntN(20); {
				case p < 2 && len(c.jobs) < 12:
					c.submit()
				case p < 7:
					c.change()
				case p < 12:
					c.settle(o)
				default:
					c.ask(t, o)
				}
			}
			for len(c.onWay) > 0 {
				c.settle(o)
			}
			if o.Len() != 0 || len(o.stages) != 0 || len(o.hosts) != 0 {
				t.Errorf("%d picks are left", o.Len())
			}
		})
	}
}
