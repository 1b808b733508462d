package state

import (
	"math"

	"github.com/sheafgrid/sheaf/task"
)

// never is after every deadline.
const never = task.Millis(math.MaxInt64)

// What follows reads the state; nothing here changes it, but for Expired.
// Pointers that are returned are valid until the next Apply.

// Cluster is what is true of the cluster as a whole.
func (s *State) Cluster() *Cluster { return &s.cluster }

// Members calls fn for each member that was not removed, those that join among
// them, in the order they were first met.
func (s *State) Members(fn func(*Member)) {
	for i := uint64(1); i < s.members.Len(); i++ {
		if m := s.members.At(i); !m.Removed {
			fn(m)
		}
	}
}

// Member is a coordinator by name, be it joining, admitted or removed.
func (s *State) Member(node task.NodeID) (*Member, bool) {
	i, ok := s.index.members[node]
	if !ok {
		return nil, false
	}
	return s.members.At(uint64(i)), true
}

// MayPublish reports whether a key may make projects and submit jobs.
func (s *State) MayPublish(key task.Key) bool { return s.mayPublish(key) }

// HostByKey finds a host.
func (s *State) HostByKey(key task.Key) (task.HostID, *Host, bool) {
	id, ok := s.index.hosts[key]
	if !ok {
		return 0, nil, false
	}
	return id, s.hosts.At(uint64(id)), true
}

// Host is a host by number.
func (s *State) Host(id task.HostID) *Host { return s.hosts.At(uint64(id)) }

// Hosts calls fn for each host, in the order of enrolment.
func (s *State) Hosts(fn func(task.HostID, *Host)) {
	for i := uint64(1); i < s.hosts.Len(); i++ {
		fn(task.HostID(i), s.hosts.At(i))
	}
}

// HostCount is how many hosts have enrolled.
func (s *State) HostCount() int { return int(s.hosts.Len() - 1) }

// Account is an account by number.
func (s *State) Account(id task.AccountID) *Account { return s.accounts.At(uint64(id)) }

// AccountByKey finds an account.
func (s *State) AccountByKey(key task.Key) (task.AccountID, bool) {
	id, ok := s.index.accounts[key]
	return id, ok
}

// Project is a project by number.
func (s *State) Project(id task.ProjectID) *Project { return s.projects.At(uint64(id)) }

// ProjectByName finds a project.
func (s *State) ProjectByName(name string) (task.ProjectID, bool) {
	id, ok := s.index.projects[name]
	return id, ok
}

// Projects calls fn for each project, in the order of creation.
func (s *State) Projects(fn func(task.ProjectID, *Project)) {
	for i := uint64(1); i < s.projects.Len(); i++ {
		fn(task.ProjectID(i), s.projects.At(i))
	}
}

// ProgramVersion is an app version with the app it belongs to.
func (s *State) ProgramVersion(id task.VersionID) (*Version, *App) {
	v := s.versions.At(uint64(id))
	return v, s.apps.At(uint64(v.App))
}

// Versions calls fn for each app version, in the order of publishing.
func (s *State) Versions(fn func(*Version)) {
	for i := uint64(1); i < s.versions.Len(); i++ {
		fn(s.versions.At(i))
	}
}

// Published reports whether a project has published a program.
func (s *State) Published(project task.ProjectID, program task.Digest, meter uint16) bool {
	_, ok := s.index.versions[versionKey{project, program, meter}]
	return ok
}

// JobByID finds a job.
func (s *State) JobByID(id task.JobID) (task.JobNumber, bool) {
	n, ok := s.index.jobs[id]
	return n, ok
}

// Job is a job by number, with its specification.
func (s *State) Job(n task.JobNumber) (*Job, *task.JobSpec) {
	return s.jobs.At(uint64(n)), s.index.specs[n]
}

// Jobs is how many jobs there have been; their numbers are 1 to that.
func (s *State) Jobs() task.JobNumber { return task.JobNumber(s.jobs.Len() - 1) }

// ActiveJobs are the running jobs in the order of submission. The slice is not
// to be changed, nor kept beyond the next Apply.
func (s *State) ActiveJobs() []task.JobNumber { return s.index.active }

// Changed appends the jobs that changed after a moment to a list, each once, and
// returns the present moment. After moment 0 these are the running jobs. What
// counts as a change is what the scheduler goes by: that a job began or ended,
// its level, which tasks were touched or want attempts, and which are out. The
// moments of a replica mean nothing to another one.
func (s *State) Changed(since uint64, list []task.JobNumber) ([]task.JobNumber, uint64) {
	if since == 0 {
		return append(list, s.index.active...), s.index.changes.moment()
	}
	return s.index.changes.since(since, list), s.index.changes.moment()
}

// Stage is a stage by number.
func (s *State) Stage(id task.StageID) *Stage { return s.stages.At(uint64(id)) }

// CurrentStage is the highest level of a job that was opened.
func (s *State) CurrentStage(n task.JobNumber) task.StageID {
	stages := s.jobs.At(uint64(n)).Stages
	return stages[len(stages)-1]
}

// StageReleased reports whether all chunks of a stage are released.
func (s *State) StageReleased(id task.StageID) bool { return s.stageReleased(id) }

// Task is the record of a task; there is none at or above the stage's cursor,
// and none of a sealed one.
func (s *State) Task(stage task.StageID, i uint64) (*Task, bool) {
	if !s.hasRecord(stage, i) {
		return nil, false
	}
	return s.tasks[stage].tasks.At(i), true
}

// TaskReleased reports whether the result of a task is final.
func (s *State) TaskReleased(stage task.StageID, i uint64) bool {
	return i < s.tasks[stage].tasks.Len() && s.taskReleased(stage, i)
}

// Waiting finds the next task of a stage that wants an attempt, from a number
// on. Tasks that were never touched are not among them.
func (s *State) Waiting(stage task.StageID, from uint64) (uint64, bool) {
	return s.index.stages[stage].nextWaiting(from)
}

// WaitingCount is how many tasks Waiting goes through.
func (s *State) WaitingCount(stage task.StageID) uint64 { return s.index.stages[stage].wanting }

// Ripe finds the next task of a stage that is to be judged.
func (s *State) Ripe(stage task.StageID, from uint64) (uint64, bool) {
	return s.index.stages[stage].nextRipe(from)
}

// NextRipe finds a stage with tasks to be judged, from a number on.
func (s *State) NextRipe(from task.StageID) (task.StageID, bool) {
	return nextStage(&s.index.ripe, from)
}

// NextReady finds a stage with chunks to be released, from a number on.
func (s *State) NextReady(from task.StageID) (task.StageID, bool) {
	return nextStage(&s.index.ready, from)
}

// NextReleased finds a stage, from a number on, all of which is released, and
// whose job waits for its next level to be opened.
func (s *State) NextReleased(from task.StageID) (task.StageID, bool) {
	return nextStage(&s.index.last, from)
}

func nextStage(m *bitmap, from task.StageID) (task.StageID, bool) {
	i, ok := m.next(uint64(from))
	return task.StageID(i), ok
}

// ProjectOpen is how many attempts of a project are out.
func (s *State) ProjectOpen(id task.ProjectID) int { return s.index.projectOpen[id] }

// StageOpen is how many attempts of a stage are out.
func (s *State) StageOpen(id task.StageID) int { return s.index.stages[id].open }

// Attempt finds an attempt by the id that its host knows it by.
func (s *State) Attempt(id task.AttemptID) (*Attempt, bool) {
	_, a := s.attempt(id)
	return a, a != nil
}

// Attempts calls fn for each attempt at a task, the latest first.
func (s *State) Attempts(stage task.StageID, i uint64, fn func(task.AttemptID, *Attempt)) {
	t, ok := s.Task(stage, i)
	if !ok {
		return
	}
	for slot := t.Last; slot != 0; {
		a := s.attempts.At(uint64(slot))
		fn(attemptID(slot, a), a)
		slot = a.Previous
	}
}

// OpenOf calls fn for each open attempt of a host, in no particular order.
func (s *State) OpenOf(host task.HostID, fn func(task.AttemptID, *Attempt)) {
	for _, slot := range s.index.open[host] {
		a := s.attempts.At(uint64(slot))
		fn(attemptID(slot, a), a)
	}
}

// OpenCount is how many attempts a host holds.
func (s *State) OpenCount(host task.HostID) int { return len(s.index.open[host]) }

// AcceptedResult is the result of an accepted task.
func (s *State) AcceptedResult(t *Task) *Attempt { return s.attempts.At(uint64(t.Accepted)) }

// NextReleasable finds a chunk of a stage, from a number on, of which every
// task has its verdict and that is not released.
func (s *State) NextReleasable(stage task.StageID, from uint64) (uint64, bool) {
	return s.index.stages[stage].ready.next(from)
}

// NextLagging finds a chunk of a stage, from a number on, that may be released
// without its last few tasks.
func (s *State) NextLagging(stage task.StageID, from uint64) (uint64, bool) {
	return s.index.stages[stage].lagging.next(from)
}

// DragsOn reports whether some task of a chunk is undecided although the deadline
// of its first attempt has passed.
func (s *State) DragsOn(stage task.StageID, chunk uint64) bool {
	for i := chunk * ChunkTasks; i < chunk*ChunkTasks+s.sizeOf(stage, chunk); i++ {
		t, ok := s.Task(stage, i)
		if !ok || t.State != TaskLive {
			continue
		}
		for slot := t.Last; slot != 0; {
			a := s.attempts.At(uint64(slot))
			if a.Deadline <= s.cluster.Now {
				return true
			}
			slot = a.Previous
		}
	}
	return false
}

// NextSealable finds a chunk of whose records some may go, from a chunk of a stage
// on.
func (s *State) NextSealable(from task.StageID, after uint64) (stage task.StageID, chunk uint64, ok bool) {
	for id, more := s.index.sealable.next(uint64(from)); more; id, more = s.index.sealable.next(id + 1) {
		if id != uint64(from) {
			after = 0
		}
		if chunk, ok = s.index.stages[id].sealable.next(after); ok {
			return task.StageID(id), chunk, true
		}
	}
	return 0, 0, false
}

// Chunk is a chunk of a stage that has been touched.
func (s *State) Chunk(stage task.StageID, chunk uint64) (*Chunk, bool) {
	if !s.hasChunk(stage, chunk) {
		return nil, false
	}
	return s.tasks[stage].chunks.At(chunk), true
}

// Released is how many tasks of a stage are released.
func (s *State) Released(stage task.StageID) uint64 {
	return s.index.stages[stage].early +
		s.tasksIn(stage, s.stages.At(uint64(stage)).Released, func(c *Chunk) bool { return c.Released })
}

// Sealed is how many tasks of a stage are sealed, or lie in a chunk that is.
func (s *State) Sealed(stage task.StageID) uint64 {
	return s.index.stages[stage].earlySealed +
		s.tasksIn(stage, s.stages.At(uint64(stage)).Sealed, func(c *Chunk) bool { return c.Sealed })
}

// tasksIn is how many tasks lie in some chunks: the last one of the stage has
// fewer than the others.
func (s *State) tasksIn(stage task.StageID, chunks uint64, among func(*Chunk) bool) uint64 {
	count := s.stages.At(uint64(stage)).Count
	last := chunksOf(count) - 1
	n := chunks * ChunkTasks
	if k, ok := s.Chunk(stage, last); ok && among(k) {
		n -= ChunkTasks - chunkSize(count, last)
	}
	return n
}

// Expired collects up to limit open attempts whose deadline is not after now.
// It corrects the index's estimates as it goes, so only one goroutine may call
// it, and never at the same time as Apply.
func (s *State) Expired(now task.Millis, limit int) []task.AttemptID {
	var expired []task.AttemptID
	var scanned []deadline
	h := &s.index.deadlines
	for len(h.order) > 0 && h.order[0].soonest <= now && len(expired) < limit {
		stage := h.order[0].stage
		scanned = append(scanned, deadline{stage, s.scanStage(stage, now, limit, &expired)})
		h.drop(stage)
	}
	for _, d := range scanned {
		h.lower(d.stage, d.soonest)
	}
	return expired[:min(len(expired), limit)]
}

// scanStage adds a stage's expired attempts, up to limit or somewhat more of
// all, and returns when the next of its attempts may expire.
func (s *State) scanStage(stage task.StageID, now task.Millis, limit int, expired *[]task.AttemptID) task.Millis {
	x, soonest := &s.index.stages[stage], never
	for n, k := range x.chunks {
		if k == nil || k.attempts == 0 {
			continue
		}
		if k.soonest <= now && len(*expired) < limit {
			k.soonest = s.scanChunk(stage, x.first+uint64(n), now, expired)
		}
		soonest = min(soonest, k.soonest)
	}
	return soonest
}

// scanChunk adds a chunk's expired attempts and returns when the next of its
// attempts expires. Those it adds count as not yet expired, so that they are
// found again should the entry that ends them be lost.
func (s *State) scanChunk(stage task.StageID, chunk uint64, now task.Millis, expired *[]task.AttemptID) task.Millis {
	soonest := never
	tasks := &s.tasks[stage].tasks
	for i := chunk * ChunkTasks; i < min((chunk+1)*ChunkTasks, tasks.Len()); i++ {
		if !tasks.Has(i) {
			continue // sealed before its late ones
		}
		t := tasks.At(i)
		if t.Open == 0 {
			continue
		}
		for slot := t.Last; slot != 0; {
			a := s.attempts.At(uint64(slot))
			if a.State == AttemptOpen {
				soonest = min(soonest, a.Deadline)
				if a.Deadline <= now {
					*expired = append(*expired, attemptID(slot, a))
				}
			}
			slot = a.Previous
		}
	}
	return soonest
}
