package task

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// ErrBadOutput is wrapped by every error about a list of outputs.
var ErrBadOutput = errors.New("list of outputs is not valid")

// The names under which a program's streams stand in its list of outputs; its
// files stand under OutputDir.
const (
	OutputStdout = "stdout"
	OutputStderr = "stderr"
	OutputDir    = "out/"
)

// MaxOutputFiles is how many files one task may leave.
const MaxOutputFiles = 1024

// OutputFile is one output of a task: a stream that is not empty, or a file.
type OutputFile struct {
	Name   string `msgpack:"n" json:"name"`
	Size   int64  `msgpack:"z" json:"size"`
	Digest Digest `msgpack:"d" json:"digest"`
}

// OutputList lists a task's outputs in the order of their names. Its digest is
// what hosts vote on.
type OutputList []OutputFile

const outputMagic = "sheaf outputs 1\n"

// Encode is the list's one canonical form.
func (l OutputList) Encode() []byte {
	b := []byte(outputMagic)
	b = binary.AppendUvarint(b, uint64(len(l)))
	for _, f := range l {
		b = appendText(b, f.Name)
		b = binary.AppendUvarint(b, uint64(f.Size))
		b = append(b, f.Digest[:]...)
	}
	return b
}

// Digest is the digest of the canonical form.
func (l OutputList) Digest() Digest { return Sum(l.Encode()) }

// Size is the sum of the outputs' sizes, in bytes.
func (l OutputList) Size() int64 {
	n := int64(0)
	for _, f := range l {
		n += f.Size
	}
	return n
}

// Sort puts the list into its canonical order.
func (l OutputList) Sort() {
	sort.Slice(l, func(i, k int) bool { return l[i].Name < l[k].Name })
}

// Check refuses what no honest client sends: names out of order, used twice or
// not allowed, sizes that cannot be.
func (l OutputList) Check() error {
	if len(l) > MaxOutputFiles+2 {
		return fmt.Errorf("%w: %d files, at most %d", ErrBadOutput, len(l), MaxOutputFiles)
	}
	if len(l) == 1 { // as most are: nothing to compare it with
		return l[0].check()
	}
	folded := make(map[string]bool, len(l))
	folders := map[string]bool{}
	total := int64(0)
	for i, f := range l {
		if i > 0 && l[i-1].Name >= f.Name {
			return fmt.Errorf("%w: %q is out of order", ErrBadOutput, f.Name)
		}
		if err := f.check(); err != nil {
			return err
		}
		// Two names that differ only in case cannot both be fetched on a
		// machine whose file system folds case.
		low := strings.ToLower(f.Name)
		if folded[low] {
			return fmt.Errorf("%w: %q stands twice, or differs from another name only in case", ErrBadOutput, f.Name)
		}
		folded[low] = true
		for k, c := range low {
			if c == '/' {
				folders[low[:k]] = true
			}
		}
		total += f.Size
	}
	for _, f := range l {
		if folders[strings.ToLower(f.Name)] {
			return fmt.Errorf("%w: %q is a file and a folder", ErrBadOutput, f.Name)
		}
	}
	if total > int64(MaxOutput) {
		return fmt.Errorf("%w: %d bytes in all, at most %d", ErrBadOutput, total, MaxOutput)
	}
	return nil
}

// check refuses a name that is not allowed and a size that cannot be.
func (f *OutputFile) check() error {
	if f.Name != OutputStdout && f.Name != OutputStderr {
		path, ok := strings.CutPrefix(f.Name, OutputDir)
		if !ok {
			return fmt.Errorf("%w: %q is neither a stream nor under %s", ErrBadOutput, clip(f.Name), OutputDir)
		}
		if err := CheckPath(path); err != nil {
			return fmt.Errorf("%w: %w", ErrBadOutput, err)
		}
	}
	if f.Size < 0 || f.Size > int64(MaxOutput) {
		return fmt.Errorf("%w: %q of %d bytes", ErrBadOutput, f.Name, f.Size)
	}
	return nil
}

// DecodeOutputList reads what Encode wrote, and nothing else: another encoding
// of the same list is refused.
func DecodeOutputList(b []byte) (OutputList, error) { return ReadOutputList(b, nil) }

// ReadOutputList does so where an earlier list was, which is gone then.
func ReadOutputList(b []byte, room OutputList) (OutputList, error) {
	r := reader{b: b}
	if !r.literal(outputMagic) {
		return nil, fmt.Errorf("%w: does not begin as one", ErrBadOutput)
	}
	n := r.uvarint()
	if n > MaxOutputFiles+2 {
		return nil, fmt.Errorf("%w: %d files, at most %d", ErrBadOutput, n, MaxOutputFiles)
	}
	l := room[:0]
	for range n {
		f := OutputFile{Name: outputName(r.bytes()), Size: int64(r.uvarint())}
		copy(f.Digest[:], r.take(len(f.Digest)))
		if r.bad {
			break
		}
		l = append(l, f)
	}
	if r.bad || len(r.b) != 0 {
		return nil, fmt.Errorf("%w: cut short or not canonical", ErrBadOutput)
	}
	return l, l.Check()
}

// outputName is a name as a string. Most are the same.
func outputName(b []byte) string {
	if string(b) == OutputStdout {
		return OutputStdout
	}
	return string(b)
}
