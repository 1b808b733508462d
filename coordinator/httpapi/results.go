package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// maxListBytes bounds a list of outputs.
const maxListBytes = 1 << 20

var failReasons = map[state.FailReason]string{
	state.FailDisagree: "the attempts ran out, and too few results were equal",
	state.FailNoResult: "the attempts ran out, and none brought a result",
}

// withStage finds the job and level that a path names.
func (s *Server) withStage(r *http.Request, fn func(view, task.StageID) error) error {
	level, err := strconv.ParseUint(r.PathValue("level"), 10, 8)
	if err != nil {
		return protocol.Refuse(protocol.CodeMalformed, "level: want a small number, got %q", r.PathValue("level"))
	}
	return s.withJob(r, func(v view, n task.JobNumber) error {
		j, _ := v.Job(n)
		if level >= uint64(len(j.Stages)) {
			return protocol.Refuse(protocol.CodeNotFound, "level %d of job %s has not begun", level, j.ID)
		}
		return fn(v, j.Stages[level])
	})
}

// released calls fn for the released tasks of a page, and says where the next
// page begins. What is not released is not there (T3).
func (v view) released(stage task.StageID, from uint64, limit int, fn func(uint64, *state.Task)) (next uint64, done bool) {
	count := v.Stage(stage).Count
	for i := from; i < count; i++ {
		if i-from >= uint64(limit) {
			return i, false
		}
		if !v.ChunkReleased(stage, i) {
			i |= state.ChunkTasks - 1 // on to the next chunk
			continue
		}
		t, _ := v.Task(stage, i)
		fn(i, t)
	}
	return count, true
}

func (s *Server) serveResults(w http.ResponseWriter, r *http.Request) {
	from, limit, err := pageBounds(r)
	page := protocol.ResultPage{Results: []protocol.ResultView{}}
	if err == nil {
		err = s.withStage(r, func(v view, id task.StageID) error {
			page.Next, page.Done = v.released(id, from, limit, func(i uint64, t *state.Task) {
				page.Results = append(page.Results, v.result(id, i, t))
			})
			return nil
		})
	}
	if err == nil {
		err = s.addFiles(r.Context(), page.Results)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	s.send(w, page)
}

func (v view) result(stage task.StageID, i uint64, t *state.Task) protocol.ResultView {
	out := protocol.ResultView{Index: i, Attempts: int(t.Tries)}
	v.Attempts(stage, i, func(_ task.AttemptID, a *state.Attempt) {
		switch a.State {
		case state.AttemptValid:
			out.Agreed++
		case state.AttemptWrong:
			out.Wrong++
		}
	})
	if t.State == state.TaskFailed {
		out.Verdict, out.Why, out.Exit = protocol.VerdictFailed, failReasons[t.Fail], task.ExitFailed
	} else {
		a := v.AcceptedResult(t)
		out.Verdict, out.Exit, out.Output, out.Work = protocol.VerdictAccepted, a.Exit, a.Output, a.Work
	}
	out.Ended = out.Exit.String()
	return out
}

// addFiles reads what files each accepted result has.
func (s *Server) addFiles(ctx context.Context, results []protocol.ResultView) error {
	for k := range results {
		r := &results[k]
		if r.Verdict != protocol.VerdictAccepted {
			continue
		}
		list, err := s.outputList(ctx, r.Output)
		if err != nil {
			return fmt.Errorf("task %d: %w", r.Index, err)
		}
		r.Files = list
	}
	return nil
}

func (s *Server) outputList(ctx context.Context, digest task.Digest) (task.OutputList, error) {
	b, err := s.cfg.Outputs.ReadAll(ctx, digest, maxListBytes)
	if err != nil {
		return nil, readRefusal("list of outputs", digest, err)
	}
	return task.DecodeOutputList(b)
}

var attemptStates = map[state.AttemptState]string{
	state.AttemptOpen: "open", state.AttemptReported: "reported", state.AttemptValid: "valid", state.AttemptWrong: "wrong",
	state.AttemptExpired: "expired", state.AttemptReturned: "returned", state.AttemptDropped: "dropped",
}

func (s *Server) serveAttempts(w http.ResponseWriter, r *http.Request) {
	from, limit, err := pageBounds(r)
	page := protocol.AttemptPage{Attempts: []protocol.AttemptView{}}
	if err == nil {
		err = s.withStage(r, func(v view, id task.StageID) error {
			page.Next, page.Done = v.released(id, from, limit, func(i uint64, _ *state.Task) {
				v.Attempts(id, i, func(a task.AttemptID, rec *state.Attempt) {
					page.Attempts = append(page.Attempts, v.attempt(i, a, rec))
				})
			})
			return nil
		})
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	s.send(w, page)
}

func (v view) attempt(i uint64, id task.AttemptID, a *state.Attempt) protocol.AttemptView {
	h := v.Host(a.Host)
	return protocol.AttemptView{
		Index: i, Attempt: id, Host: h.Key, HostName: h.Name, State: attemptStates[a.State],
		Exit: a.Exit, Output: a.Output, Work: a.Work, Credit: a.Credit,
	}
}

// serveOutput sends one released output.
func (s *Server) serveOutput(w http.ResponseWriter, r *http.Request) {
	index, err1 := strconv.ParseUint(r.PathValue("index"), 10, 64)
	file, err2 := strconv.ParseUint(r.PathValue("file"), 10, 16)
	if err1 != nil || err2 != nil {
		s.fail(w, protocol.Refuse(protocol.CodeMalformed, "want the numbers of a task and of one of its files"))
		return
	}
	var output task.Digest
	err := s.withStage(r, func(v view, id task.StageID) error {
		t, ok := v.Task(id, index)
		if !ok || !v.ChunkReleased(id, index) || t.State != state.TaskAccepted {
			return protocol.Refuse(protocol.CodeNotFound, "task %d has no released result", index)
		}
		output = v.AcceptedResult(t).Output
		return nil
	})
	if err != nil {
		s.fail(w, err)
		return
	}
	list, err := s.outputList(r.Context(), output)
	if err == nil && file >= uint64(len(list)) {
		err = protocol.Refuse(protocol.CodeNotFound, "task %d has %d files", index, len(list))
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	b, err := s.cfg.Outputs.Open(r.Context(), list[file].Digest)
	if err != nil {
		s.fail(w, readRefusal("output", list[file].Digest, err))
		return
	}
	defer b.Close()
	s.sendBlob(w, r, b, list[file].Digest)
}
