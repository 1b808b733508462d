package state

import (
	"slices"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

type appKey struct {
	project task.ProjectID
	name    string
}

type versionKey struct {
	project task.ProjectID
	program task.Digest
	meter   uint16
}

// index is what is derived from the tables to find records quickly. It is no
// part of the digest, and Restore builds it anew. Maps in it are looked up,
// never ranged over.
type index struct {
	members  map[task.NodeID]uint32
	accounts map[task.Key]task.AccountID
	hosts    map[task.Key]task.HostID
	projects map[string]task.ProjectID
	apps     map[appKey]task.AppID
	versions map[versionKey]task.VersionID
	jobs     map[task.JobID]task.JobNumber
	sessions map[sessionKey]uint32

	specs        []*task.JobSpec  // by JobNumber, decoded
	active       []task.JobNumber // running, in the order of submission
	stages       []stageIndex     // by StageID
	open         [][]uint32       // by HostID: slots of its open attempts
	projectOpen  []int            // by ProjectID: open attempts
	freeSessions bitmap           // places of closed sessions
	freeAttempts bitmap           // slots of attempts whose chunk was sealed
	deadlines    deadlines        // stages with attempts out
	changes      changes          // jobs, by when they changed

	// Stages by what is to be done with them.
	ripe     bitmap // of running jobs, with tasks to be judged
	ready    bitmap // with chunks to be released
	sealable bitmap // with chunks whose records may go
	last     bitmap // released ones of running jobs, with a level above that is to be opened
}

func newIndex() index {
	return index{
		members: map[task.NodeID]uint32{}, accounts: map[task.Key]task.AccountID{}, hosts: map[task.Key]task.HostID{},
		projects: map[string]task.ProjectID{}, apps: map[appKey]task.AppID{}, versions: map[versionKey]task.VersionID{},
		jobs: map[task.JobID]task.JobNumber{}, sessions: map[sessionKey]uint32{},
		specs: []*task.JobSpec{nil}, stages: []stageIndex{{}}, open: [][]uint32{nil}, projectOpen: []int{0},
	}
}

// opened files an attempt that is now out.
func (x *index) opened(s *State, slot uint32) {
	a := s.attempts.At(uint64(slot))
	x.open[a.Host] = append(x.open[a.Host], slot)
	x.projectOpen[s.projectOf(a.Stage)]++
	st := &x.stages[a.Stage]
	st.open++
	k := st.chunk(uint64(a.Index) / ChunkTasks)
	k.attempts++
	k.soonest = min(k.soonest, a.Deadline)
	x.deadlines.lower(a.Stage, a.Deadline)
}

// closed files an attempt that is no longer out; its record still says open.
func (x *index) closed(s *State, slot uint32) {
	a := s.attempts.At(uint64(slot))
	x.projectOpen[s.projectOf(a.Stage)]--
	st := &x.stages[a.Stage]
	st.open--
	st.chunk(uint64(a.Index)/ChunkTasks).attempts--
	if st.open == 0 {
		x.deadlines.drop(a.Stage)
	}
	open := x.open[a.Host]
	k := slices.Index(open, slot)
	open[k] = open[len(open)-1]
	x.open[a.Host] = open[:len(open)-1]
}

func (s *State) projectOf(stage task.StageID) task.ProjectID {
	return s.jobs.At(uint64(s.stages.At(uint64(stage)).Job)).Project
}

func (x *index) dropActive(number task.JobNumber) {
	if k, ok := slices.BinarySearch(x.active, number); ok {
		x.active = slices.Delete(x.active, k, k+1)
	}
}

// noteTask files a task under what is to be done with it. It is called when
// anything about the task has changed, be it which of its attempts are out.
func (s *State) noteTask(stage task.StageID, i uint64, t *Task) {
	x, number := &s.index.stages[stage], s.stages.At(uint64(stage)).Job
	before := x.ripe.count
	x.note(i, t)
	if (before > 0) != (x.ripe.count > 0) {
		s.index.ripe.set(uint64(stage), before == 0 && s.jobs.At(uint64(number)).State == JobRunning)
	}
	s.index.changes.note(number)
}

// noteStage files a stage under what is to be done with it.
func (s *State) noteStage(stage task.StageID) {
	id, x, st := uint64(stage), &s.index.stages[stage], s.stages.At(uint64(stage))
	j := s.jobs.At(uint64(st.Job))
	running := j.State == JobRunning
	s.index.ripe.set(id, running && x.ripe.count > 0)
	s.index.ready.set(id, running && x.ready.count > 0)
	s.index.sealable.set(id, x.sealable.count > 0)
	s.index.last.set(id, running && stage == j.Stages[len(j.Stages)-1] && s.stageReleased(stage) && s.index.specs[st.Job].Count(st.Level+1) > 0)
}

// rebuild derives the whole index from the tables. It fails on tables that do
// not fit together.
func (s *State) rebuild() error {
	s.index = newIndex()
	x := &s.index
	for i := uint64(1); i < s.members.Len(); i++ {
		x.members[s.members.At(i).Node] = uint32(i)
	}
	for i := uint64(1); i < s.accounts.Len(); i++ {
		x.accounts[s.accounts.At(i).Key] = task.AccountID(i)
	}
	for i := uint64(1); i < s.hosts.Len(); i++ {
		x.hosts[s.hosts.At(i).Key] = task.HostID(i)
		x.open = append(x.open, nil)
	}
	for i := uint64(1); i < s.projects.Len(); i++ {
		x.projects[s.projects.At(i).Name] = task.ProjectID(i)
		x.projectOpen = append(x.projectOpen, 0)
	}
	for i := uint64(1); i < s.apps.Len(); i++ {
		a := s.apps.At(i)
		x.apps[appKey{a.Project, a.Name}] = task.AppID(i)
	}
	for i := uint64(1); i < s.versions.Len(); i++ {
		v := s.versions.At(i)
		x.versions[versionKey{s.apps.At(uint64(v.App)).Project, v.Program, v.Meter}] = task.VersionID(i)
	}
	for i := uint64(1); i < s.sessions.Len(); i++ {
		if r := s.sessions.At(i); r.Closed {
			x.freeSessions.set(i, true)
		} else {
			x.sessions[sessionKey{r.Key, r.ID}] = uint32(i)
		}
	}
	return s.rebuildJobs()
}

func (s *State) rebuildJobs() error {
	x := &s.index
	for i := uint64(1); i < s.jobs.Len(); i++ {
		j := s.jobs.At(i)
		spec, err := protocol.DecodeSpec(j.Spec)
		if err != nil {
			return err
		}
		x.specs = append(x.specs, spec)
		x.jobs[j.ID] = task.JobNumber(i)
		if j.State == JobRunning {
			x.active = append(x.active, task.JobNumber(i))
		}
	}
	for id := uint64(1); id < s.stages.Len(); id++ {
		x.stages = append(x.stages, stageIndex{})
		s.rebuildChunks(task.StageID(id))
	}
	for slot := uint64(1); slot < s.attempts.Len(); slot++ {
		switch {
		case !s.attempts.Has(slot), s.attempts.At(slot).State == AttemptNone:
			x.freeAttempts.set(slot, true)
		case s.attempts.At(slot).State == AttemptOpen:
			x.opened(s, uint32(slot))
		}
	}
	return nil
}

func (s *State) rebuildChunks(id task.StageID) {
	x, tables := &s.index.stages[id], s.tasks[id]
	for c := range tables.chunks.Len() {
		chunk := tables.chunks.At(c)
		if chunk.Sealed {
			x.chunks = append(x.chunks, nil)
			x.trim()
		} else {
			x.chunk(c)
			for i := c * ChunkTasks; i < min((c+1)*ChunkTasks, tables.tasks.Len()); i++ {
				if s.hasRecord(id, i) {
					s.noteTask(id, i, tables.tasks.At(i))
				}
			}
		}
		if o := s.overflowed(id, c); o != nil {
			others := s.sizeOf(id, c) - uint64(len(o.Late))
			if !chunk.Released {
				x.early += others
			}
			if o.Sealed && !chunk.Sealed {
				x.earlySealed += others
			}
		}
		s.noteChunk(id, c)
	}
}
