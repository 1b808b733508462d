package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

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
	// Stage and Index are the task whose output it is, while the task has a record.
	// Once its chunk is sealed, a small output is in the chunk's pack alone.
	Stage task.StageID
	Index uint64
	// Spent: nothing that goes on needs it, since its job has ended. A cluster may
	// have removed it.
	Spent bool
}

// Group is what stores keep the blob for (storage.Small).
func (n *Needed) Group() uint64 {
	if n.Stage == 0 {
		return 0
	}
	return state.OutputGroup(n.Stage, n.Index)
}

// UnknownSize stands for the size of a blob that is known by its digest alone.
const UnknownSize = int64(-1)

// Library has the blobs that Walk names.
type Library interface {
	// Take is told of blobs that are needed.
	Take(ctx context.Context, needed []Needed) error
	// Open is Take, and hands over the bytes of each that is there, in order.
	Open(ctx context.Context, needed []Needed, fn func(i int, b []byte) error) error
	// Read is Take of one blob of any size, and lets fn read it, if it is there.
	Read(ctx context.Context, needed Needed, fn func(r io.Reader) error) error
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
	// What the state will soon not need any more comes first.
	for n := task.JobNumber(1); n <= s.Jobs(); n++ {
		if err := w.live(ctx, n); err != nil {
			return err
		}
	}
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
		add(in.Pieces, task.PieceListSize(in.Size), what+"the list of the pieces of its input "+in.Path)
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
		if err := w.sealed(ctx, id, what); err != nil {
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

// sealed takes the sheaves and packs of a stage.
func (w *walker) sealed(ctx context.Context, id task.StageID, what string) error {
	for c, more := uint64(0), true; more; c++ {
		var parts []state.Part
		more = w.state.SealedParts(id, c, c+1, func(p state.Part) { parts = append(parts, p) })
		for _, p := range parts {
			if w.lib.Sealed(p.Sheaf) {
				continue
			}
			if err := w.sheaf(ctx, &p, what); err != nil {
				return err
			}
		}
	}
	return nil
}

// sheaf takes the sheaf of what was sealed of a chunk, its pack, and those outputs
// of the results in it that are too large for the pack.
func (w *walker) sheaf(ctx context.Context, part *state.Part, what string) error {
	need := []Needed{{Area: Public, Digest: part.Sheaf, Size: UnknownSize, For: what + "a sheaf"}}
	var lists []task.Digest // of each task, zero for one that ended failed
	err := w.lib.Open(ctx, need, func(_ int, b []byte) error {
		s, err := sheaves.Decode(b)
		if err == nil && !part.Fits(s) {
			err = errors.New("its results are not those that were released")
		}
		if err != nil {
			return fmt.Errorf("%ssheaf %s: %w", what, part.Sheaf, err)
		}
		for i := range s.Tasks {
			lists = append(lists, s.Tasks[i].Result.Output)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !part.Pack.IsZero() {
		if err := w.pack(ctx, part.Pack, lists, what); err != nil {
			return err
		}
	}
	return w.lib.Complete(part.Sheaf)
}

// pack takes a pack, and what the lists in it name and is not in it.
func (w *walker) pack(ctx context.Context, digest task.Digest, lists []task.Digest, what string) error {
	var large []Needed
	err := w.lib.Read(ctx, Needed{Area: Outputs, Digest: digest, Size: UnknownSize, For: what + "a pack of outputs"}, func(r io.Reader) error {
		return readPack(r, lists, func(list task.OutputList) {
			for _, f := range list {
				if f.Size > sheaves.MaxPacked {
					large = append(large, Needed{Area: Outputs, Digest: f.Digest, Size: f.Size, For: what + "an output"})
				}
			}
		})
	})
	if err == nil {
		err = w.lib.Take(ctx, large)
	}
	if err != nil {
		return fmt.Errorf("%spack %s: %w", what, digest, err)
	}
	return nil
}

// live takes the outputs of a job's results that are in the state: of accepted
// ones, and of those that wait for a verdict.
func (w *walker) live(ctx context.Context, n task.JobNumber) error {
	j, _ := w.state.Job(n)
	what := fmt.Sprintf("job %s: ", j.ID)
	for _, id := range j.Stages {
		for c := uint64(0); ; c++ {
			chunk, ok := w.state.Chunk(id, c)
			if !ok {
				break
			}
			if chunk.Sealed {
				continue
			}
			if err := w.liveChunk(ctx, id, c, what, j.State != state.JobRunning); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) liveChunk(ctx context.Context, id task.StageID, chunk uint64, what string, ended bool) error {
	var lists []Needed
	seen := map[task.Digest]bool{} // within a chunk, each is needed once
	end := min((chunk+1)*state.ChunkTasks, w.state.Stage(id).Cursor)
	for i := chunk * state.ChunkTasks; i < end; i++ {
		spent := ended && !w.state.TaskReleased(id, i)
		w.state.Attempts(id, i, func(_ task.AttemptID, a *state.Attempt) {
			if (a.State == state.AttemptReported || a.State == state.AttemptValid) && !seen[a.Output] {
				seen[a.Output] = true
				lists = append(lists, Needed{Area: Outputs, Digest: a.Output, Size: UnknownSize, For: what + "a result's list of outputs", Stage: id, Index: i, Spent: spent})
			}
		})
	}
	for ; len(lists) > 0; lists = lists[min(group, len(lists)):] {
		some := lists[:min(group, len(lists))]
		var files []Needed
		err := w.lib.Open(ctx, some, func(i int, b []byte) error {
			list, err := task.DecodeOutputList(b)
			for _, f := range list {
				if !seen[f.Digest] {
					seen[f.Digest] = true
					files = append(files, Needed{Area: Outputs, Digest: f.Digest, Size: f.Size, For: what + "an output", Stage: id, Index: some[i].Index, Spent: some[i].Spent})
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
