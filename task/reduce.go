package task

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// ReducePage describes one task of a reduction: the outputs of the level below
// that it reads, in task order. Tasks that ended failed, or whose program
// ended with an error, have no outputs to read and are left out.
type ReducePage struct {
	Inputs []ReduceInput
}

// ReduceInput is one accepted output of the level below.
type ReduceInput struct {
	Index   uint64
	Outputs OutputList
}

// ReduceGroup is the half-open range of tasks of the level below that task i
// of a level reads.
func (s *JobSpec) ReduceGroup(level uint8, i uint64) (from, to uint64) {
	fan := uint64(s.Reduce.FanIn)
	return i * fan, min((i+1)*fan, s.Count(level-1))
}

// MaxReduceFiles bounds the files that one task of a reduction reads: its
// description must fit into an answer to a volunteer.
const MaxReduceFiles = 16384

// MaxOutputs is how many outputs, streams included, a task of a level may leave:
// fewer where a reduction follows that reads many tasks' at once.
func (s *JobSpec) MaxOutputs(level uint8) int {
	if level+1 >= s.Levels() {
		return MaxOutputFiles + 2
	}
	return min(MaxOutputFiles+2, MaxReduceFiles/int(s.Reduce.FanIn))
}

const reducePageMagic = "sheaf reduce page 1\n"

// Encode is the page's one canonical form.
func (p ReducePage) Encode() []byte {
	b := []byte(reducePageMagic)
	b = binary.AppendUvarint(b, uint64(len(p.Inputs)))
	for _, in := range p.Inputs {
		b = binary.AppendUvarint(b, in.Index)
		b = appendBytes(b, in.Outputs.Encode())
	}
	return b
}

// DecodeReducePage reads what Encode wrote, and nothing else: another encoding
// of the same page is refused.
func DecodeReducePage(b []byte) (ReducePage, error) {
	r := reader{b: b}
	if !r.literal(reducePageMagic) {
		return ReducePage{}, fmt.Errorf("%w: not a page of a reduction", ErrBadIndex)
	}
	n := r.uvarint()
	if n > MaxFanIn {
		return ReducePage{}, fmt.Errorf("%w: %d inputs, at most %d", ErrBadIndex, n, MaxFanIn)
	}
	var p ReducePage
	for range n {
		in := ReduceInput{Index: r.uvarint()}
		list := r.bytes()
		if r.bad {
			break
		}
		var err error
		if in.Outputs, err = DecodeOutputList(list); err != nil {
			return ReducePage{}, fmt.Errorf("%w: %w", ErrBadIndex, err)
		}
		p.Inputs = append(p.Inputs, in)
	}
	if r.bad || len(r.b) != 0 || !bytes.Equal(p.Encode(), b) {
		return ReducePage{}, fmt.Errorf("%w: page is cut short or not canonical", ErrBadIndex)
	}
	return p, nil
}

// ReduceInputDir is the folder under /in in which a task of a reduction finds
// the outputs of task index: its digits sort as the tasks do.
func ReduceInputDir(index uint64) string { return fmt.Sprintf("%010d", index) }

func (s *JobSpec) reduceTask(t Task, page []byte) (Task, error) {
	p, err := DecodeReducePage(page)
	if err != nil {
		return Task{}, fmt.Errorf("task %d of level %d of job %s: %w", t.Index, t.Level, t.Job, err)
	}
	from, to := s.ReduceGroup(t.Level, t.Index)
	next := from
	r := s.Reduce
	t.Program, t.Meter, t.Limits = r.Program, r.Meter, r.Limits
	t.Args = expandArgs(r.Args, func(b []byte, name string) []byte {
		if name == "level" {
			return strconv.AppendUint(b, uint64(t.Level), 10)
		}
		return strconv.AppendUint(b, t.Index, 10)
	})
	for _, in := range p.Inputs {
		if in.Index < next || in.Index >= to {
			return Task{}, fmt.Errorf("task %d of level %d of job %s: %w: it lists task %d, its group is %d to %d",
				t.Index, t.Level, t.Job, ErrBadIndex, in.Index, from, to)
		}
		next = in.Index + 1
		for _, f := range in.Outputs {
			t.Inputs = append(t.Inputs, InputRange{
				Path: ReduceInputDir(in.Index) + "/" + f.Name, Blob: f.Digest, Length: f.Size, Digest: f.Digest,
			})
		}
	}
	return t, nil
}
