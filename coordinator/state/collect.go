package state

import (
	"math"
	"slices"

	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
)

// ends says how a sheaf calls the states of attempts.
var ends = [...]sheaves.End{
	AttemptOpen: sheaves.Dropped, AttemptReported: sheaves.Reported, AttemptValid: sheaves.Valid, AttemptWrong: sheaves.Wrong,
	AttemptExpired: sheaves.Expired, AttemptReturned: sheaves.Returned, AttemptDropped: sheaves.Dropped,
}

// Collect gathers what a sheaf keeps of what is to be sealed next of a chunk, and
// says whether that are its late tasks. The sheaf is nil where nothing is released
// that is not sealed.
func (s *State) Collect(stage task.StageID, chunk uint64, room *SheafRoom) (kept *sheaves.Sheaf, late bool) {
	if !s.hasChunk(stage, chunk) {
		return nil, false
	}
	o := s.overflowed(stage, chunk)
	if o != nil && !o.Sealed {
		return s.gather(stage, chunk, room, func(i uint64) bool { return !o.isLate(i) }), false
	}
	return s.Recorded(stage, chunk, room), o != nil
}

// SheafRoom is memory for a sheaf. The one that was gathered into it before is gone
// when the next one is.
type SheafRoom struct {
	sheaf  sheaves.Sheaf
	places map[task.HostID]int // in the sheaf's list of hosts
	// Those of all tasks behind each other, so that they are not thousands of
	// allocations.
	attempts []sheaves.Attempt
}

// keptAttempts bounds the attempts that room is kept for: few chunks have more.
const keptAttempts = 8 * ChunkTasks

// begin makes room for a sheaf of n tasks.
func (r *SheafRoom) begin(n int) {
	if cap(r.attempts) > keptAttempts {
		*r = SheafRoom{}
	}
	if r.places == nil {
		r.places = map[task.HostID]int{}
	}
	clear(r.places)
	r.sheaf = sheaves.Sheaf{Hosts: slices.Grow(r.sheaf.Hosts[:0], 1), Tasks: slices.Grow(r.sheaf.Tasks[:0], n)}
	r.attempts = slices.Grow(r.attempts[:0], 2*n)
}

// Recorded is what there is of a chunk's tasks that are released and still have
// records, as a sheaf has it; nil if there is none.
func (s *State) Recorded(stage task.StageID, chunk uint64, room *SheafRoom) *sheaves.Sheaf {
	k, ok := s.Chunk(stage, chunk)
	if !ok || k.Sealed {
		return nil
	}
	switch o := s.overflowed(stage, chunk); {
	case k.Released && (o == nil || !o.Sealed):
		return s.gather(stage, chunk, room, func(uint64) bool { return true })
	case k.Released:
		return s.gather(stage, chunk, room, o.isLate)
	case o != nil && !o.Sealed:
		return s.gather(stage, chunk, room, func(i uint64) bool { return !o.isLate(i) })
	}
	return nil
}

// gather is the sheaf of some tasks of a chunk.
func (s *State) gather(stage task.StageID, chunk uint64, room *SheafRoom, among func(i uint64) bool) *sheaves.Sheaf {
	st := s.stages.At(uint64(stage))
	n := chunkSize(st.Count, chunk)
	room.begin(int(n))
	g := gathering{state: s, SheafRoom: room}
	g.sheaf.Job, g.sheaf.Level, g.sheaf.First = s.jobs.At(uint64(st.Job)).ID, st.Level, chunk*ChunkTasks
	for i := g.sheaf.First; i < g.sheaf.First+n; i++ {
		t := sheaves.Task{Missing: true}
		if among(i) {
			t = g.task(s.tasks[stage].tasks.At(i))
		}
		g.sheaf.Tasks = append(g.sheaf.Tasks, t)
	}
	return &g.sheaf
}

// gathering is a sheaf that is being gathered.
type gathering struct {
	state *State
	*SheafRoom
}

func (g *gathering) task(t *Task) sheaves.Task {
	var out sheaves.Task
	first := len(g.attempts)
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
		g.attempts = append(g.attempts, entry)
		slot = a.Previous
	}
	out.Attempts = g.attempts[first:len(g.attempts):len(g.attempts)]
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
// until it is sealed (storage.Small.Group): that of the page that its record is
// in, so that a late task keeps the outputs of few others.
func OutputGroup(stage task.StageID, i uint64) uint64 { return uint64(stage)<<32 | i/pageSize }

// OutputGroups are the groups of a chunk's tasks.
func OutputGroups(stage task.StageID, chunk uint64) (groups []uint64) {
	for i := chunk * ChunkTasks; i < (chunk+1)*ChunkTasks; i += pageSize {
		groups = append(groups, OutputGroup(stage, i))
	}
	return groups
}

// OutputGroupGone reports whether the outputs of a group are in packs, or
// needed by nobody.
func (s *State) OutputGroupGone(group uint64) bool {
	stage, i := task.StageID(group>>32), group&math.MaxUint32*pageSize
	if stage == 0 || uint64(stage) >= s.stages.Len() {
		return false
	}
	tasks := &s.tasks[stage].tasks
	return i < tasks.Len() && !tasks.Has(i)
}
