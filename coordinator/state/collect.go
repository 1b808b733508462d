package state

import (
	"math"

	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
)

// ends says how a sheaf calls the states of attempts.
var ends = [...]sheaves.End{
	AttemptOpen: sheaves.Dropped, AttemptReported: sheaves.Reported, AttemptValid: sheaves.Valid, AttemptWrong: sheaves.Wrong,
	AttemptExpired: sheaves.Expired, AttemptReturned: sheaves.Returned, AttemptDropped: sheaves.Dropped,
}

// Collect gathers what a sheaf keeps of a chunk that is released and not
// sealed. It is nil for any other.
func (s *State) Collect(stage task.StageID, chunk uint64) *sheaves.Sheaf {
	if k, ok := s.Chunk(stage, chunk); !ok || !k.Released || k.Sealed {
		return nil
	}
	st := s.stages.At(uint64(stage))
	g := gathering{state: s, places: map[task.HostID]int{}}
	g.sheaf = &sheaves.Sheaf{Job: s.jobs.At(uint64(st.Job)).ID, Level: st.Level, First: chunk * ChunkTasks, Hosts: []task.Key{}}
	for i := g.sheaf.First; i < g.sheaf.First+chunkSize(st.Count, chunk); i++ {
		g.sheaf.Tasks = append(g.sheaf.Tasks, g.task(s.tasks[stage].tasks.At(i)))
	}
	return g.sheaf
}

// gathering is a sheaf that is being gathered.
type gathering struct {
	state  *State
	sheaf  *sheaves.Sheaf
	places map[task.HostID]int // in the sheaf's list of hosts
}

func (g *gathering) task(t *Task) sheaves.Task {
	out := sheaves.Task{Attempts: []sheaves.Attempt{}}
	if t.State == TaskFailed {
		out.Fail = uint8(t.Fail)
	} else {
		out.Result = g.state.attempts.At(uint64(t.Accepted)).result()
	}
	for slot := t.Last; slot != 0; {
		a := g.state.attempts.At(uint64(slot))
		entry := sheaves.Attempt{ID: attemptID(slot, a), Host: g.host(a.Host), End: ends[a.State]}
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

func (a *Attempt) result() sheaves.Result {
	return sheaves.Result{Exit: a.Exit, Work: a.Work, Output: a.Output}
}

// OutputGroup is the group under which nodes keep the small outputs of a task
// until its chunk is sealed (storage.Small.Group).
func OutputGroup(stage task.StageID, i uint64) uint64 { return uint64(stage)<<32 | i/ChunkTasks }

// OutputGroupGone reports whether the outputs of a group are in a pack, or
// needed by nobody.
func (s *State) OutputGroupGone(group uint64) bool {
	k, ok := s.Chunk(task.StageID(group>>32), group&math.MaxUint32)
	return ok && k.Sealed
}
