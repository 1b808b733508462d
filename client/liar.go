package client

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/task"
)

// Lie makes the agent return well-formed wrong results, so that a demonstration
// and its tests can show that they are found out. It is refused wherever a
// coordinator could be another machine.
type Lie struct {
	Seed    uint64 // which tasks it lies about
	Percent int    // how many of a hundred
}

func (l *Lie) validate(urls []string) error {
	if l.Percent < 0 || l.Percent > 100 {
		return fmt.Errorf("%w: lies about %d of 100 tasks", ErrBadConfig, l.Percent)
	}
	for _, u := range urls {
		if !remote.IsLoopback(u) {
			return fmt.Errorf("%w: wrong results are only for demonstrations on one machine, and %s is not on this one", ErrBadConfig, u)
		}
	}
	if len(urls) == 0 {
		return fmt.Errorf("%w: wrong results are only for demonstrations on one machine; name its coordinators", ErrBadConfig)
	}
	return nil
}

// about decides from the task alone.
func (l *Lie) about(sum task.Digest) bool {
	if l == nil {
		return false
	}
	h := sha256.Sum256(binary.BigEndian.AppendUint64(sum[:], l.Seed))
	return int(binary.BigEndian.Uint64(h[:])%100) < l.Percent
}

// tell flips a bit in the last byte of the first output that has one, and makes
// the list fit. A task without outputs is told about truthfully.
func (l *Lie) tell(list task.OutputList, s *spool) error {
	for i, f := range s.files {
		if list[i].Size == 0 {
			continue
		}
		if f.file == nil {
			b := f.memory.Bytes()
			b[len(b)-1] ^= 1
			list[i].Digest = task.Sum(b)
			return nil
		}
		b, err := os.ReadFile(f.file.Name())
		if err != nil {
			return s.fail(err)
		}
		b[len(b)-1] ^= 1
		if _, err := f.file.WriteAt(b[len(b)-1:], int64(len(b)-1)); err != nil {
			return s.fail(err)
		}
		list[i].Digest = task.Sum(b)
		return nil
	}
	return nil
}
