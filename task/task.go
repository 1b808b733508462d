package task

import (
	"encoding/binary"
	"slices"
)

// Task is one piece of a job, whole: with it and the blobs that it names, any
// machine computes the same result.
type Task struct {
	Job     JobID        `msgpack:"j"`
	Level   uint8        `msgpack:"v"` // 0: of the split; above: of the reduction
	Index   uint64       `msgpack:"i"`
	Program Digest       `msgpack:"p"`
	Meter   uint16       `msgpack:"m"`
	Args    []string     `msgpack:"a,omitempty"`
	Inputs  []InputRange `msgpack:"n,omitempty"`
	Limits  Limits       `msgpack:"l"`
	Seed    uint64       `msgpack:"e"`
}

// InputRange is a part of a blob that a task reads as the file /in/Path.
type InputRange struct {
	Path   string `msgpack:"p"`
	Blob   Digest `msgpack:"b"`
	Offset int64  `msgpack:"o"`
	Length int64  `msgpack:"z"`
	Digest Digest `msgpack:"d"`           // of the part's own bytes
	Pieces Digest `msgpack:"c,omitempty"` // of the whole blob's PieceList; zero: the part is fetched whole
}

// Sum is the task's checksum: it covers everything that decides its result
// (T1). The coordinator and the client each compute it; a result names it.
func (t *Task) Sum() Digest {
	pieces := slices.ContainsFunc(t.Inputs, func(in InputRange) bool { return !in.Pieces.IsZero() })
	first := "sheaf task 1\n"
	if pieces {
		first = "sheaf task 2\n"
	}
	b := append(make([]byte, 0, 256), first...)
	b = append(b, t.Job[:]...)
	b = append(b, t.Level)
	b = binary.AppendUvarint(b, t.Index)
	b = append(b, t.Program[:]...)
	b = binary.AppendUvarint(b, uint64(t.Meter))
	b = binary.AppendUvarint(b, uint64(len(t.Args)))
	for _, a := range t.Args {
		b = appendText(b, a)
	}
	b = binary.AppendUvarint(b, uint64(len(t.Inputs)))
	for _, in := range t.Inputs {
		b = appendText(b, in.Path)
		b = append(b, in.Blob[:]...)
		b = binary.AppendUvarint(b, uint64(in.Offset))
		b = binary.AppendUvarint(b, uint64(in.Length))
		b = append(b, in.Digest[:]...)
		if pieces {
			b = append(b, in.Pieces[:]...)
		}
	}
	b = binary.AppendUvarint(b, t.Limits.Work)
	b = binary.AppendUvarint(b, t.Limits.Memory)
	b = binary.AppendUvarint(b, t.Limits.Output)
	b = binary.AppendUvarint(b, uint64(t.Limits.Wall))
	b = binary.AppendUvarint(b, uint64(t.Limits.Deadline))
	b = binary.BigEndian.AppendUint64(b, t.Seed)
	return Sum(b)
}

// Result is what one attempt at a task returned.
type Result struct {
	Task   Digest `msgpack:"t"` // the task's checksum
	Exit   Exit   `msgpack:"x"`
	Output Digest `msgpack:"o"` // of the canonical list of outputs
	Work   uint64 `msgpack:"w"` // counted instructions
}
