package httpapi

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// maxJobsListed bounds the list of jobs; the newest are listed.
const maxJobsListed = 1000

func (s *Server) serveJobs(w http.ResponseWriter, r *http.Request) {
	reader := s.reader(r)
	jobs := []protocol.JobView{}
	s.view(func(v view) {
		for n := v.Jobs(); n > 0 && len(jobs) < maxJobsListed; n-- {
			jobs = append(jobs, v.job(n, reader))
		}
	})
	s.send(w, jobs)
}

func (s *Server) serveJob(w http.ResponseWriter, r *http.Request) {
	reader := s.reader(r)
	var job protocol.JobView
	err := s.withJob(r, func(v view, n task.JobNumber) error {
		job = v.job(n, reader)
		return nil
	})
	if err != nil {
		s.fail(w, err)
		return
	}
	s.send(w, job)
}

func (s *Server) serveSpec(w http.ResponseWriter, r *http.Request) {
	var spec []byte
	err := s.withJob(r, func(v view, n task.JobNumber) error {
		j, _ := v.Job(n)
		spec = slices.Clone(j.Spec)
		return nil
	})
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", protocol.ContentType)
	_, _ = w.Write(spec) // see send
}

// withJob finds the job that a path names.
func (s *Server) withJob(r *http.Request, fn func(view, task.JobNumber) error) error {
	id, err := task.ParseJobID(r.PathValue("job"))
	if err != nil {
		return protocol.Refuse(protocol.CodeMalformed, "%v", err)
	}
	s.view(func(v view) {
		n, ok := v.JobByID(id)
		if !ok {
			err = protocol.Refuse(protocol.CodeNotFound, "there is no job %s in this cluster", id)
			return
		}
		err = fn(v, n)
	})
	return err
}

// reader is the key that signed a reading, or none.
func (s *Server) reader(r *http.Request) task.Key {
	key, err := task.ParseKey(r.Header.Get(protocol.HeaderKey))
	if err != nil {
		return task.Key{}
	}
	at := protocol.ParseMillis(r.Header.Get(protocol.HeaderTime))
	now := s.cfg.Node.Now()
	fresh := at >= now-protocol.ReadWindow && at <= now+protocol.ReadWindow
	if !fresh || !protocol.VerifyRead(key, s.cfg.Cluster, r.URL.Path, at, protocol.DecodeSignature(r.Header.Get(protocol.HeaderSignature))) {
		return task.Key{}
	}
	return key
}

var jobStates = map[state.JobState]string{state.JobRunning: "running", state.JobDone: "done", state.JobCancelled: "cancelled"}

// job is what a reader may see of a job.
func (v view) job(n task.JobNumber, reader task.Key) protocol.JobView {
	j, spec := v.Job(n)
	owner := v.Account(j.Account).Key
	out := protocol.JobView{
		Job: j.ID, Name: spec.Name, Project: v.Project(j.Project).Name, Publisher: owner, State: jobStates[j.State],
		Submitted: j.Submitted, Finished: j.Finished, Replicate: spec.Check.Replicate, Collect: spec.Collect, AllLevels: spec.Levels(),
	}
	if out.Collect == "" {
		out.Collect = task.CollectFiles
	}
	for _, id := range j.Stages {
		st := v.Stage(id)
		l := protocol.LevelView{
			Level: st.Level, Tasks: st.Count, Begun: st.Cursor, Released: v.Released(id), Errors: st.Errors, Root: st.Root,
			Sealed: v.Sealed(id), Evidence: st.Evidence,
		}
		if l.Released == l.Tasks {
			l.Failed = st.Failed
		}
		out.Levels = append(out.Levels, l)
		if st.Level == 0 {
			out.ResultRoot = st.Root
		} else if st.Level == spec.Levels()-1 {
			out.ReduceRoot = st.Root
		}
	}
	if reader == owner || j.State != state.JobRunning {
		st := v.Stage(v.CurrentStage(n))
		out.Progress = &protocol.Progress{
			Level: st.Level, Accepted: st.Accepted, Failed: st.Failed, Attempts: j.Attempts, Returned: j.Returned, Wrong: j.Wrong, Credit: j.Credit,
		}
	}
	if j.State == state.JobRunning {
		out.WaitsFor = v.waitsFor(n, reader == owner)
	}
	return out
}

// waitsFor says what a running job waits for. Whether results agreed is for its
// publisher alone to know before the release (T3).
func (v view) waitsFor(n task.JobNumber, owner bool) string {
	id := v.CurrentStage(n)
	st := v.Stage(id)
	_, spec := v.Job(n)
	memory := spec.Limits.Memory
	if st.Level > 0 {
		memory = spec.Reduce.Limits.Memory
	}
	accounts, roomy, most := map[task.AccountID]bool{}, map[task.AccountID]bool{}, uint64(0)
	v.Hosts(func(_ task.HostID, h *state.Host) {
		accounts[h.Account] = true
		if offer := h.Facts.Memory; offer == 0 || offer >= memory { // 0: not said
			roomy[h.Account] = true
		} else {
			most = max(most, offer)
		}
	})
	switch {
	case v.HostCount() == 0:
		return "No volunteer has joined this cluster yet."
	case len(accounts) < int(spec.Check.Replicate):
		return fmt.Sprintf("Each task needs results from %d different accounts, and only %d have joined.", spec.Check.Replicate, len(accounts))
	case len(roomy) < int(spec.Check.Replicate):
		return fmt.Sprintf("Each task needs %s of memory and results from %d different accounts; volunteers of %d accounts offer that much (the others up to %s). Lower limits.memory, or ask them for more (sheaf client --memory).",
			mebibytes(memory), spec.Check.Replicate, len(roomy), mebibytes(most))
	case v.StageReleased(id):
		return "The next level of the reduction is being prepared."
	case st.Cursor < st.Count:
		return "Volunteers are working; not all tasks have been handed out."
	case !owner:
		return "Volunteers are working on the last tasks."
	case v.WaitingCount(id) > 0:
		return "Some tasks wait for a further volunteer of another account."
	}
	return "The last results are being computed."
}

// mebibytes is an amount of memory as job files write it.
func mebibytes(n uint64) string {
	if n >= 1<<30 && n%(1<<30) == 0 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
