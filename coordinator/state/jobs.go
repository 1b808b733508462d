package state

import (
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

func (s *State) submitJob(c *SubmitJob) Answer {
	project, refuse := s.ownProject(c.Request.Key, c.Project)
	if refuse != nil {
		return refusal(refuse)
	}
	spec, err := protocol.DecodeSpec(c.Spec)
	if err != nil {
		return refusal(protocol.AsError(err))
	}
	job := Job{
		ID:      task.NewJobID(c.Request.Key, c.Request.Session, c.Request.Number),
		Account: s.index.accounts[c.Request.Key], Project: project,
		Spec: c.Spec, State: JobRunning, Submitted: s.cluster.Now,
	}
	if _, ok := s.index.jobs[job.ID]; ok {
		return refusal(protocol.Refuse(protocol.CodeConflict, "job %s exists", job.ID))
	}
	var ok bool
	if job.Map, ok = s.index.versions[versionKey{project, spec.Program, spec.Meter}]; !ok {
		return refusal(protocol.Refuse(protocol.CodeNotFound, "the program %s is not published in project %q; publish it first", spec.Program.Short(), c.Project))
	}
	if spec.Reduce != nil {
		if job.Reduce, ok = s.index.versions[versionKey{project, spec.Reduce.Program, spec.Reduce.Meter}]; !ok {
			return refusal(protocol.Refuse(protocol.CodeNotFound, "the program %s of the reduction is not published in project %q; publish it first", spec.Reduce.Program.Short(), c.Project))
		}
	}
	number := task.JobNumber(s.jobs.Append(job))
	s.index.jobs[job.ID] = number
	s.index.specs = append(s.index.specs, spec)
	s.index.active = append(s.index.active, number)
	s.addStage(number, 0, spec, spec.Split.Lines.Index)
	return Answer{Job: job.ID}
}

func (s *State) addStage(number task.JobNumber, level uint8, spec *task.JobSpec, index task.Digest) {
	id := task.StageID(s.stages.Append(Stage{Job: number, Level: level, Count: spec.Count(level), Index: index}))
	t := &stageTables{}
	t.tasks.share, t.chunks.share = &s.share, &s.share
	s.tasks = append(s.tasks, t)
	s.index.stages = append(s.index.stages, stageIndex{})
	j := s.jobs.Edit(uint64(number))
	j.Stages = append(append([]task.StageID(nil), j.Stages...), id)
	for _, below := range j.Stages {
		s.noteStage(below)
	}
	s.index.changes.note(number)
}

// openStage begins the next level of a reduction. It does nothing unless the
// level below is released and this one is next.
func (s *State) openStage(c *OpenStage) {
	if c.Job == 0 || uint64(c.Job) >= s.jobs.Len() {
		return
	}
	j := s.jobs.At(uint64(c.Job))
	spec := s.index.specs[c.Job]
	if j.State != JobRunning || int(c.Level) != len(j.Stages) || spec.Count(c.Level) == 0 {
		return
	}
	if !s.stageReleased(j.Stages[len(j.Stages)-1]) {
		return
	}
	s.addStage(c.Job, c.Level, spec, c.Index)
}

// cancelJob ends a job of the sender's. Attempts that are out are told so at
// their hosts' next contact. Work whose verdict is in is paid when the
// records go, although its chunk will never be released. Cancelling what has ended changes nothing.
func (s *State) cancelJob(c *CancelJob) Answer {
	number, ok := s.index.jobs[c.Job]
	if !ok {
		return refusal(protocol.Refuse(protocol.CodeNotFound, "there is no job %s", c.Job))
	}
	j := s.jobs.At(uint64(number))
	if s.accounts.At(uint64(j.Account)).Key != c.Request.Key {
		return refusal(protocol.Refuse(protocol.CodeNotAllowed, "job %s belongs to another account", c.Job))
	}
	if j.State != JobRunning {
		return Answer{Job: c.Job, Existed: true}
	}
	s.endJob(number, JobCancelled)
	for _, id := range j.Stages {
		for c := range s.tasks[id].chunks.Len() {
			s.noteChunk(id, c) // what is left of them may go
		}
	}
	return Answer{Job: c.Job}
}

func (s *State) endJob(number task.JobNumber, end JobState) {
	j := s.jobs.Edit(uint64(number))
	j.State, j.Finished = end, s.cluster.Now
	s.index.dropActive(number)
	s.index.changes.note(number)
}

func (s *State) stageReleased(id task.StageID) bool {
	st := s.stages.At(uint64(id))
	return st.Released == chunksOf(st.Count)
}

// chunksOf is how many chunks n tasks make.
func chunksOf(n uint64) uint64 { return (n + ChunkTasks - 1) / ChunkTasks }

// chunkSize is how many tasks chunk c of a stage of n tasks has.
func chunkSize(n, c uint64) uint64 { return min(ChunkTasks, n-c*ChunkTasks) }
