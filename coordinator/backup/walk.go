package backup

import (
	"context"
	"fmt"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
)

// Needed is a blob that a state needs.
type Needed struct {
	Area   Area
	Digest task.Digest
	Size   int64  // bytes; UnknownSize where the state does not say
	For    string // what needs it, for people
	// Spent: nothing that goes on needs it, since its job has ended. A cluster may
	// have removed it.
	Spent bool
}

// UnknownSize stands for the size of a blob that is known by its digest alone.
const UnknownSize = int64(-1)

// Library has the blobs that Walk names.
type Library interface {
	// Take is told of blobs that are needed.
	Take(ctx context.Context, needed []Needed) error
	// Open is Take, and hands over the bytes of each that is there, in order.
	Open(ctx context.Context, needed []Needed, fn func(i int, b []byte) error) error
	// Sealed reports whether everything that a sheaf names was taken before.
	Sealed(sheaf task.Digest) bool
	// Complete is told that everything that a sheaf names has been taken.
	Complete(sheaf task.Digest) error
}

// group is how many blobs are asked for together: the lists of that many tasks.
const group = 256

// Walk tells a library of every blob that a state needs: programs, inputs and
// indexes of jobs, sheaves, and outputs of every result that counts or may come
// to count. A blob may be named more than once.
func Walk(ctx context.Context, s *state.State, lib Library) error {
	w := walker{state: s, lib: lib}
	if err := w.programs(ctx); err != nil {
		return err
	}
	for n := task.JobNumber(1); n <= s.Jobs(); n++ {
		if err := w.job(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

type walker struct {
	state *state.State
	lib   Library
}

func (w *walker) programs(ctx context.Context) error {
	var need []Needed
	w.state.Versions(func(v *state.Version) {
		need = append(need, Needed{Area: Public, Digest: v.Program, Size: UnknownSize, For: "an app version: its program"})
	})
	return w.lib.Take(ctx, need)
}

func (w *walker) job(ctx context.Context, n task.JobNumber) error {
	j, spec := w.state.Job(n)
	what := fmt.Sprintf("job %s: ", j.ID)
	spent := j.State != state.JobRunning
	var need []Needed
	add := func(d task.Digest, size int64, what string) {
		if !d.IsZero() {
			need = append(need, Needed{Area: Public, Digest: d, Size: size, For: what, Spent: spent})
		}
	}
	for _, in := range spec.Inputs {
		add(in.Blob, in.Size, what+"its input "+in.Path)
	}
	if spec.Split.Kind == task.SplitLines {
		add(spec.Split.Lines.Blob, spec.Split.Lines.Size, what+"its file of lines")
		if err := w.index(ctx, spec.Split.Lines.Index, 0, what, spent); err != nil {
			return err
		}
	}
	if err := w.lib.Take(ctx, need); err != nil {
		return err
	}
	for _, id := range j.Stages {
		st := w.state.Stage(id)
		if st.Level > 0 {
			if err := w.index(ctx, st.Index, st.Level, what, spent); err != nil {
				return err
			}
		}
		if err := w.stage(ctx, id, what, spent); err != nil {
			return err
		}
	}
	return nil
}

// index takes the pages that describe the tasks of a level, and the outputs that
// the pages of a reduction name: volunteers fetch those as inputs.
func (w *walker) index(ctx context.Context, list task.Digest, level uint8, what string, spent bool) error {
	var pages []Needed
	first := []Needed{{Area: Public, Digest: list, Size: UnknownSize, For: what + "its index", Spent: spent}}
	err := w.lib.Open(ctx, first, func(_ int, b []byte) error {
		for i := range uint64(len(b) / len(task.Digest{})) {
			d, err := task.PageDigest(b, i)
			if err != nil {
				return fmt.Errorf("%sits index: %w", what, err)
			}
			pages = append(pages, Needed{Area: Public, Digest: d, Size: UnknownSize, For: what + "a page of its index", Spent: spent})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for ; len(pages) > 0; pages = pages[min(group, len(pages)):] {
		some := pages[:min(group, len(pages))]
		if level == 0 {
			if err := w.lib.Take(ctx, some); err != nil {
				return err
			}
			continue
		}
		var need []Needed
		err := w.lib.Open(ctx, some, func(_ int, b []byte) error {
			p, err := task.DecodeReducePage(b)
			for _, in := range p.Inputs {
				for _, f := range in.Outputs {
					need = append(need, Needed{Area: Public, Digest: f.Digest, Size: f.Size, For: what + "an output that its reduction reads", Spent: spent})
				}
			}
			return err
		})
		if err == nil {
			err = w.lib.Take(ctx, need)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) stage(ctx context.Context, id task.StageID, what string, spent bool) error {
	for c := uint64(0); ; c++ {
		chunk, ok := w.state.Chunk(id, c)
		if !ok {
			return nil
		}
		var err error
		switch {
		case !chunk.Sealed:
			err = w.live(ctx, id, c, what, spent && !chunk.Released)
		case !chunk.Sheaf.IsZero() && !w.lib.Sealed(chunk.Sheaf):
			err = w.sheaf(ctx, chunk.Sheaf, what)
		}
		if err != nil {
			return err
		}
	}
}

// sheaf takes a sheaf and the outputs of the results in it.
func (w *walker) sheaf(ctx context.Context, digest task.Digest, what string) error {
	need := []Needed{{Area: Public, Digest: digest, Size: UnknownSize, For: what + "a sheaf"}}
	var lists []task.Digest
	err := w.lib.Open(ctx, need, func(_ int, b []byte) error {
		s, err := sheaves.Decode(b)
		if err != nil {
			return fmt.Errorf("%ssheaf %s: %w", what, digest, err)
		}
		for i := range s.Tasks {
			if s.Tasks[i].Fail == 0 {
				lists = append(lists, s.Tasks[i].Result.Output)
			}
		}
		return nil
	})
	if err == nil {
		err = w.outputs(ctx, lists, what, false)
	}
	if err != nil {
		return err
	}
	return w.lib.Complete(digest)
}

// live takes the outputs of a chunk whose results are in the state: of accepted
// ones, and of those that wait for a verdict.
func (w *walker) live(ctx context.Context, id task.StageID, chunk uint64, what string, spent bool) error {
	var lists []task.Digest
	end := min((chunk+1)*state.ChunkTasks, w.state.Stage(id).Cursor)
	for i := chunk * state.ChunkTasks; i < end; i++ {
		w.state.Attempts(id, i, func(_ task.AttemptID, a *state.Attempt) {
			if a.State == state.AttemptReported || a.State == state.AttemptValid {
				lists = append(lists, a.Output)
			}
		})
	}
	return w.outputs(ctx, lists, what, spent)
}

// outputs takes lists of outputs and what they list.
func (w *walker) outputs(ctx context.Context, lists []task.Digest, what string, spent bool) error {
	for ; len(lists) > 0; lists = lists[min(group, len(lists)):] {
		var need, files []Needed
		seen := map[task.Digest]bool{}
		for _, d := range lists[:min(group, len(lists))] {
			if !seen[d] {
				seen[d] = true
				need = append(need, Needed{Area: Outputs, Digest: d, Size: UnknownSize, For: what + "a result's list of outputs", Spent: spent})
			}
		}
		err := w.lib.Open(ctx, need, func(_ int, b []byte) error {
			list, err := task.DecodeOutputList(b)
			for _, f := range list {
				if !seen[f.Digest] {
					seen[f.Digest] = true
					files = append(files, Needed{Area: Outputs, Digest: f.Digest, Size: f.Size, For: what + "an output", Spent: spent})
				}
			}
			return err
		})
		if err == nil {
			err = w.lib.Take(ctx, files)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
