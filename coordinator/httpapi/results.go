package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/validation"
)

// maxListBytes bounds a list of outputs.
const maxListBytes = 1 << 20

var failReasons = map[uint8]string{
	uint8(state.FailDisagree): "the attempts ran out, and too few results were equal",
	uint8(state.FailNoResult): "the attempts ran out, and none brought a result",
}

// level is a level of a job as a path names it.
type level struct {
	stage task.StageID
	count uint64
}

func (s *Server) level(r *http.Request) (l level, err error) {
	number, err := strconv.ParseUint(r.PathValue("level"), 10, 8)
	if err != nil {
		return l, protocol.Refuse(protocol.CodeMalformed, "level: want a small number, got %q", r.PathValue("level"))
	}
	err = s.withJob(r, func(v view, n task.JobNumber) error {
		j, _ := v.Job(n)
		if number >= uint64(len(j.Stages)) {
			return protocol.Refuse(protocol.CodeNotFound, "level %d of job %s has not begun", number, j.ID)
		}
		l.stage = j.Stages[number]
		l.count = v.Stage(l.stage).Count
		return nil
	})
	return l, err
}

// released calls fn for the released tasks of a page, and says where the next
// page begins. What is not released is not there (T3).
func (s *Server) released(ctx context.Context, l level, from uint64, limit int, fn func(uint64, *sheaves.Sheaf, *sheaves.Task)) (next uint64, done bool, err error) {
	for i := from; i < l.count; {
		if i-from >= uint64(limit) {
			return i, false, nil
		}
		chunk, err := s.cfg.Archive.Chunk(ctx, l.stage, i/state.ChunkTasks)
		if err != nil {
			return 0, false, err
		}
		end := min((i/state.ChunkTasks+1)*state.ChunkTasks, l.count)
		if chunk != nil {
			end = min(end, from+uint64(limit))
			for ; i < end; i++ {
				if t := chunk.Task(i); t != nil {
					fn(i, chunk, t)
				}
			}
		}
		i = end
	}
	return l.count, true, nil
}

func (s *Server) serveResults(w http.ResponseWriter, r *http.Request) {
	from, limit, err := pageBounds(r)
	page := protocol.ResultPage{Results: []protocol.ResultView{}}
	var l level
	if err == nil {
		l, err = s.level(r)
	}
	if err == nil {
		page.Next, page.Done, err = s.released(r.Context(), l, from, limit, func(i uint64, _ *sheaves.Sheaf, t *sheaves.Task) {
			page.Results = append(page.Results, resultView(i, t))
		})
	}
	if err == nil {
		err = s.addFiles(r.Context(), l, page.Results)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	s.send(w, page)
}

func resultView(i uint64, t *sheaves.Task) protocol.ResultView {
	out := protocol.ResultView{Index: i, Attempts: len(t.Attempts)}
	for _, a := range t.Attempts {
		switch a.End {
		case sheaves.Valid:
			out.Agreed++
		case sheaves.Wrong:
			out.Wrong++
		}
	}
	if t.Fail != 0 {
		out.Verdict, out.Why, out.Exit = protocol.VerdictFailed, failReasons[t.Fail], task.ExitFailed
	} else {
		out.Verdict, out.Exit, out.Output, out.Work = protocol.VerdictAccepted, t.Result.Exit, t.Result.Output, t.Result.Work
	}
	out.Ended = out.Exit.String()
	return out
}

// addFiles reads what files each accepted result has.
func (s *Server) addFiles(ctx context.Context, l level, results []protocol.ResultView) error {
	for k := range results {
		r := &results[k]
		if r.Verdict != protocol.VerdictAccepted {
			continue
		}
		list, err := s.outputList(ctx, l, r.Index, r.Output)
		if err != nil {
			return fmt.Errorf("task %d: %w", r.Index, err)
		}
		r.Files = list
	}
	return nil
}

func (s *Server) outputList(ctx context.Context, l level, i uint64, digest task.Digest) (task.OutputList, error) {
	b, err := s.cfg.Archive.ReadOutput(ctx, l.stage, i, digest, maxListBytes)
	if err != nil {
		return nil, readRefusal("list of outputs", digest, err)
	}
	return task.DecodeOutputList(b)
}

var attemptEnds = map[sheaves.End]string{
	sheaves.Reported: "reported", sheaves.Valid: "valid", sheaves.Wrong: "wrong",
	sheaves.Expired: "expired", sheaves.Returned: "returned", sheaves.Dropped: "dropped",
}

func (s *Server) serveAttempts(w http.ResponseWriter, r *http.Request) {
	from, limit, err := pageBounds(r)
	page := protocol.AttemptPage{Attempts: []protocol.AttemptView{}}
	var l level
	if err == nil {
		l, err = s.level(r)
	}
	if err == nil {
		page.Next, page.Done, err = s.released(r.Context(), l, from, limit, func(i uint64, chunk *sheaves.Sheaf, t *sheaves.Task) {
			for _, a := range t.Attempts {
				page.Attempts = append(page.Attempts, attemptView(i, chunk, a))
			}
		})
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	s.view(func(v view) {
		for k := range page.Attempts {
			if _, h, ok := v.HostByKey(page.Attempts[k].Host); ok {
				page.Attempts[k].HostName = h.Name
			}
		}
	})
	s.send(w, page)
}

func attemptView(i uint64, chunk *sheaves.Sheaf, a sheaves.Attempt) protocol.AttemptView {
	out := protocol.AttemptView{
		Index: i, Attempt: a.ID, Host: chunk.Hosts[a.Host], State: attemptEnds[a.End], Exit: a.Result.Exit, Output: a.Result.Output, Work: a.Result.Work,
	}
	if a.End == sheaves.Valid {
		out.Credit = validation.Credit(a.Result.Work)
	}
	return out
}

// serveOutput sends one released output.
func (s *Server) serveOutput(w http.ResponseWriter, r *http.Request) {
	index, err1 := strconv.ParseUint(r.PathValue("index"), 10, 64)
	file, err2 := strconv.ParseUint(r.PathValue("file"), 10, 16)
	if err1 != nil || err2 != nil {
		s.fail(w, protocol.Refuse(protocol.CodeMalformed, "want the numbers of a task and of one of its files"))
		return
	}
	var t *sheaves.Task
	l, err := s.level(r)
	if err == nil && index < l.count {
		t, err = s.cfg.Archive.Task(r.Context(), l.stage, index)
	}
	if err == nil && (t == nil || t.Fail != 0) {
		err = protocol.Refuse(protocol.CodeNotFound, "task %d has no released result", index)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	list, err := s.outputList(r.Context(), l, index, t.Result.Output)
	if err == nil && file >= uint64(len(list)) {
		err = protocol.Refuse(protocol.CodeNotFound, "task %d has %d files", index, len(list))
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	b, err := s.cfg.Archive.OpenOutput(r.Context(), l.stage, index, list[file].Digest)
	if err != nil {
		s.fail(w, readRefusal("output", list[file].Digest, err))
		return
	}
	defer b.Close()
	s.sendBlob(w, r, b, list[file].Digest)
}
