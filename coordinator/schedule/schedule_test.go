package schedule_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/schedule"
	"github.com/sheafgrid/sheaf/task"
)

// table is a View made of plain lists. Job n has stage n.
type table struct {
	jobs  []schedule.JobFacts
	open  map[task.ProjectID]int
	want  map[task.StageID][]int // of the touched tasks
	taken map[task.StageID]map[uint64][]task.AccountID
}

// Changed: each time all of them. That is more than there need be.
func (v *table) Changed(_ uint64, n []task.JobNumber) ([]task.JobNumber, uint64) {
	for i := range v.jobs {
		n = append(n, task.JobNumber(i+1))
	}
	return n, 1
}

// ProjectByName: names are of projects 1 and 2, as job says.
func (v *table) ProjectByName(name string) (task.ProjectID, bool) {
	id, ok := map[string]task.ProjectID{"science": 1, "art": 2}[name]
	return id, ok
}

func (v *table) JobFacts(n task.JobNumber) schedule.JobFacts {
	j := v.jobs[n-1]
	j.Running, j.Stage, j.Cursor = true, task.StageID(n), uint64(len(v.want[task.StageID(n)]))
	_, j.Waiting = v.Waiting(j.Stage, 0)
	return j
}

func (v *table) ProjectOpen(p task.ProjectID) int { return v.open[p] }

func (v *table) Waiting(s task.StageID, from uint64) (uint64, bool) {
	for i := from; i < uint64(len(v.want[s])); i++ {
		if v.want[s][i] > 0 {
			return i, true
		}
	}
	return 0, false
}

func (v *table) Wanted(s task.StageID, i uint64) int { return v.want[s][i] }

func (v *table) Taken(s task.StageID, i uint64, a task.AccountID) bool {
	for _, k := range v.taken[s][i] {
		if k == a {
			return true
		}
	}
	return false
}

func job(project task.ProjectID, count uint64, replicate int) schedule.JobFacts {
	return schedule.JobFacts{Project: project, Count: count, Replicate: replicate, Memory: 1 << 20}
}

func host(account task.AccountID) schedule.Host {
	return schedule.Host{ID: task.HostID(account), Account: account, MayHold: 100, AllowAll: true}
}

func zero(uint64) uint64 { return 0 }

func TestReasons(t *testing.T) {
	full := host(1)
	full.Open = 100
	chooser := host(1)
	chooser.AllowAll, chooser.Allow = false, []string{"art"}
	small := host(1)
	small.Memory = 1 << 10
	one := []schedule.JobFacts{job(1, 1, 2)}
	for _, c := range []struct {
		name string
		view table
		host schedule.Host
		want int
		n    int
		why  task.Reason
	}{
		{"nothing asked", table{}, host(1), 0, 0, task.ReasonNone},
		{"no jobs", table{}, host(1), 1, 0, task.ReasonNoJobs},
		{"all it asked for", table{jobs: one}, host(1), 1, 1, task.ReasonNone},
		{"the second place is another account's", table{jobs: one}, host(1), 2, 1, task.ReasonAllGiven},
		{"full", table{jobs: one}, full, 1, 0, task.ReasonHostFull},
		{"not allowed", table{jobs: one}, chooser, 1, 0, task.ReasonNotAllowed},
		{"too little memory", table{jobs: one}, small, 1, 0, task.ReasonMemory},
		{"waits for another account", table{jobs: one, want: map[task.StageID][]int{1: {1}}, taken: map[task.StageID]map[uint64][]task.AccountID{1: {0: {1}}}}, host(1), 1, 0, task.ReasonAllGiven},
		{"all is being computed", table{jobs: one, want: map[task.StageID][]int{1: {0}}}, host(1), 1, 0, task.ReasonInFlight},
	} {
		picks, why := schedule.For(&c.view, schedule.NewOverlay(), c.host, c.want, zero)
		if len(picks) != c.n || why != c.why {
			t.Errorf("%s: got %v because %q, want %d because %q", c.name, picks, why, c.n, c.why)
		}
		if why.Sentence() == "" {
			t.Errorf("%s: %q has no sentence", c.name, why)
		}
	}
}

func TestWhatWasBegunComesFirst(t *testing.T) {
	v := &table{jobs: []schedule.JobFacts{job(1, 10, 2)}, want: map[task.StageID][]int{1: {0, 1, 0, 2}}}
	picks, _ := schedule.For(v, schedule.NewOverlay(), host(1), 3, zero)
	if want := []schedule.Pick{{Stage: 1, Index: 1}, {Stage: 1, Index: 3}, {Stage: 1, Index: 4}}; !reflect.DeepEqual(picks, want) {
		t.Errorf("got %v, want %v", picks, want)
	}
}

func TestProjectsTakeTurns(t *testing.T) {
	v := &table{
		jobs: []schedule.JobFacts{job(1, 1000, 1), job(1, 1000, 1), job(2, 10, 1)},
		open: map[task.ProjectID]int{1: 3},
	}
	picks, _ := schedule.For(v, schedule.NewOverlay(), host(1), 7, zero)
	count := map[task.StageID]int{}
	for _, p := range picks {
		count[p.Stage]++
	}
	if want := map[task.StageID]int{1: 1, 2: 1, 3: 5}; !reflect.DeepEqual(count, want) {
		t.Errorf("stages got %v, want %v: the project, then the job with fewer attempts out comes first", count, want)
	}
}

func TestOverlayKeepsPicksApart(t *testing.T) {
	v := &table{jobs: []schedule.JobFacts{job(1, 3, 2)}}
	o := schedule.NewOverlay()
	first, _ := schedule.For(v, o, host(1), 3, zero)
	if again, why := schedule.For(v, o, host(1), 3, zero); len(again) != 0 || why != task.ReasonAllGiven {
		t.Errorf("the same account got %v (%q)", again, why)
	}
	second, _ := schedule.For(v, o, host(2), 9, zero)
	third, _ := schedule.For(v, o, host(3), 9, zero)
	if len(first) != 3 || len(second) != 3 || len(third) != 0 {
		t.Errorf("picked %v, %v, %v; want 3, 3, none", first, second, third)
	}
	o.Settle(first, true, host(1))
	o.Settle(second, true, host(2))
	o.Settle(second, true, host(2)) // once more: nothing is left to forget
	if o.Len() != 0 {
		t.Errorf("%d picks are left", o.Len())
	}
}

// T2: whatever waits, no account is picked for one task twice, and no task is
// picked more often than it wants.
func TestPicksNeverExceedWants(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		v := &table{open: map[task.ProjectID]int{}, want: map[task.StageID][]int{}, taken: map[task.StageID]map[uint64][]task.AccountID{}}
		for n := range 1 + rnd.IntN(4) {
			stage := task.StageID(n + 1)
			v.jobs = append(v.jobs, job(task.ProjectID(1+rnd.IntN(2)), uint64(1+rnd.IntN(40)), 1+rnd.IntN(3)))
			v.taken[stage] = map[uint64][]task.AccountID{}
			for i := range rnd.IntN(int(v.jobs[n].Count) + 1) {
				v.want[stage] = append(v.want[stage], rnd.IntN(3))
				if rnd.IntN(2) == 0 {
					v.taken[stage][uint64(i)] = []task.AccountID{task.AccountID(1 + rnd.IntN(4))}
				}
			}
		}
		o := schedule.NewOverlay()
		given := map[schedule.Pick][]task.AccountID{}
		for range 60 {
			h := host(task.AccountID(1 + rnd.IntN(4)))
			picks, _ := schedule.For(v, o, h, rnd.IntN(9), rnd.Uint64N)
			for _, p := range picks {
				for _, a := range append(given[p], v.taken[p.Stage][p.Index]...) {
					if a == h.Account {
						t.Fatalf("T2: seed %d: account %d has %v twice", seed, a, p)
					}
				}
				given[p] = append(given[p], h.Account)
			}
		}
		for p, accounts := range given {
			want := v.jobs[p.Stage-1].Replicate
			if p.Index < uint64(len(v.want[p.Stage])) {
				want = v.want[p.Stage][p.Index]
			}
			if len(accounts) > want {
				t.Fatalf("seed %d: %v wanted %d, given to %v", seed, p, want, accounts)
			}
		}
	}
}
