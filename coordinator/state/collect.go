package state

import (
	"github.com/sheafgrid/sheaf/sheaf"
	"github.com/sheafgrid/sheaf/task"
)

// ends says how a sheaf calls the states of attempts.
var ends = [...]sheaf.End{
	AttemptOpen: sheaf.Dropped, AttemptReported: sheaf.Reported, AttemptValid: sheaf.Valid, AttemptWrong: sheaf.Wrong,
	AttemptExpired: sheaf.Expired, AttemptReturned: sheaf.Returned, AttemptDropped: sheaf.Dropped,
}

// Collect gathers what a sheaf keeps of a chunk that is released and not
// sealed. It is nil for any other.
func (s *State) Collect(stage task.StageID, chunk uint64) *sheaf.Sheaf {
	if k, ok := s.Chunk(stage, chunk); !ok || !k.Released || k.Sealed {
		return nil
	}
	st := s.stages.At(uint64(stage))
	g := gathering{state: s, places: map[task.HostID]int{}}
	g.sheaf = &sheaf.Sheaf{Job: s.jobs.At(uint64(st.Job)).ID, Level: st.Level, First: chunk * ChunkTasks, Hosts: []task.Key{}}
	for i := g.sheaf.First; i < g.sheaf.First+chunkSize(st.Count, chunk); i++ {
		g.sheaf.Tasks = append(g.sheaf.Tasks, g.task(s.tasks[stage].tasks.At(i)))
	}
	return g.sheaf
}

// gathering is a sheaf that is being gathered.
type gathering struct {
	state  *State
	sheaf  *sheaf.Sheaf
	places map[task.HostID]int // in the sheaf's list of hosts
}

func (g *gathering) task(t *Task) sheaf.Task {
	out := sheaf.Task{Attempts: []sheaf.Attempt{}}
	if t.State == TaskFailed {
		out.Fail = uint8(t.Fail)
	} else {
		out.Result = g.state.attempts.At(uint64(t.Accepted)).result()
	}
	for slot := t.Last; slot != 0; {
		a := g.state.attempts.At(uint64(slot))
		entry := sheaf.Attempt{ID: attemptID(slot, a), Host: g.host(a.Host), End: ends[a.State]}
		if entry.End.HasResult() {
			entry.Result = a.result()
		}
		out.Attempts = append(out.Attempts, entry)
		slot = a.Previous
	}
	return out
}

func (g *gathering) host(id task.HostID) int {
	place, ok := g.places[id]
	if !ok {
		place = len(g.sheaf.Hosts)
		g.places[id] = place
		g.sheaf.Hosts = append(g.sheaf.Hosts, g.state.hosts.At(uint64(id)).Key)
	}
	return place
}

func (a *Attempt) result() sheaf.Result {
	return sheaf.Result{Exit: a.Exit, Work: a.Work, Output: a.Output}
}
