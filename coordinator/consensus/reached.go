package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"
)

// reached is a mark beside the log: up to this entry, everything was applied, and
// so committed, and on this node's disk. A log that ends before it has lost
// something that others count on; without the mark that would look like a write
// which a power cut interrupted. It is written after the log, about once a
// second, so it never says too much; what was lost of the last second it does
// not show.
//
// The file has two places, written in turn: if one is torn, the other is whole.
// Each is 32 bytes: magic, the index (big-endian), CRC-32C of both, zeroes.
type reached struct {
	mu    sync.Mutex
	file  *os.File
	index uint64
	place int64
}

const (
	reachedName  = "reached"
	reachedMagic = "sheafmk1"
	reachedPlace = 32
)

// openReached opens the mark of a raft folder, and makes it if it is not there.
func openReached(dir string) (*reached, error) {
	f, err := os.OpenFile(filepath.Join(dir, reachedName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("mark beside the log: %w", err)
	}
	r := &reached{file: f}
	if r.index, r.place, err = readReached(f); err != nil {
		return nil, errors.Join(fmt.Errorf("mark beside the log: %w", err), f.Close())
	}
	return r, nil
}

// readReached returns the mark, and the place that is to be written next. A file
// without a whole place says nothing.
func readReached(f io.ReaderAt) (index uint64, place int64, err error) {
	var b [2 * reachedPlace]byte
	if n, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	} else if n < len(b) {
		clear(b[n:])
	}
	for i := range int64(2) {
		p := b[i*reachedPlace:]
		if string(p[:8]) == reachedMagic && binary.BigEndian.Uint32(p[16:]) == crc32.Checksum(p[:16], castagnoli) {
			if v := binary.BigEndian.Uint64(p[8:]); v >= index {
				index, place = v, 1-i
			}
		}
	}
	return index, place, nil
}

// note writes the mark, unless it has not moved.
func (r *reached) note(index uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if index <= r.index {
		return nil
	}
	b := make([]byte, reachedPlace)
	copy(b, reachedMagic)
	binary.BigEndian.PutUint64(b[8:], index)
	binary.BigEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli))
	if _, err := r.file.WriteAt(b, r.place*reachedPlace); err != nil {
		return err
	}
	if err := r.file.Sync(); err != nil {
		return err
	}
	r.index, r.place = index, 1-r.place
	return nil
}

// Close closes the file.
func (r *reached) Close() error { return r.file.Close() }

// check refuses a log and snapshots that end before the mark.
func (r *reached) check(dir string, last uint64, snapshots []*raft.SnapshotMeta) error {
	for _, s := range snapshots {
		last = max(last, s.Index)
	}
	if last < r.index {
		return lostEntries(dir, last, r.index)
	}
	return nil
}

func lostEntries(dir string, last, index uint64) error {
	return fmt.Errorf("log in %s: %w: it ends with entry %d, and this node had applied entry %d: what it had acknowledged is lost", dir, ErrDamaged, last, index)
}
