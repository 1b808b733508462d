package wasi

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"github.com/sheafgrid/sheaf/task"
)

// newRandom makes the stream of random_get: ChaCha8 as math/rand/v2 defines
// it, under the SHA-256 of "sheaf random 1\n" and the seed's eight bytes, the
// highest first.
func newRandom(seed uint64) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64([]byte("sheaf random 1\n"), seed)))
}

// randomGet(buffer *u8, n)
func (s *System) randomGet(c call) error {
	w, err := c.window(c.u32(0), uint64(c.u32(1)))
	if err != nil {
		return err
	}
	s.random.Read(w) // never fails
	return nil
}

// procExit(code): codes 0 to 63 are the program's own. Higher ones would be
// taken for something that the sandbox says.
func (s *System) procExit(c call) error {
	if code := c.u32(0); code <= 63 {
		return stop(task.Exit(code))
	}
	return stop(task.ExitBadCode)
}

// schedYield(): there is nobody to yield to.
func (s *System) schedYield(call) error { return nil }
