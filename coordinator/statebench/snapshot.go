package statebench

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
)

// perEntry is the exchanges of one log entry: as many as a busy leader puts
// into one.
const perEntry = 24

// Stalls is how Apply behaved while a snapshot was written.
type Stalls struct {
	Freeze  time.Duration // that no entry is applied while the snapshot is taken
	Longest time.Duration // one entry, the longest of all
	P99     time.Duration
	Before  time.Duration // one entry, the longest before the snapshot
	Entries int           // applied while it was written
	Reports int
	Write   time.Duration // from the beginning until the snapshot was on the disk
	Bytes   int64
}

// SnapshotBytes is how large a snapshot of the state is.
func (b *Bench) SnapshotBytes() int64 {
	var n counter
	frozen := b.state.Freeze()
	defer frozen.Release()
	_, _ = frozen.Write(&n) // a counter takes everything
	return int64(n)
}

// counter counts bytes.
type counter int64

// Write counts.
func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// Snapshot writes a snapshot to a file in dir, synced, while hosts report attempts
// drawn at random from all that are held, and measures how long each entry takes
// to be decoded and applied.
func (b *Bench) Snapshot(dir string) (s Stalls, err error) {
	path := filepath.Join(dir, "snapshot")
	var times []time.Duration
	for range 50 {
		d, err := b.randomEntry()
		if err != nil {
			return s, err
		}
		s.Before = max(s.Before, d)
	}
	begun := time.Now()
	frozen := b.state.Freeze()
	s.Freeze = time.Since(begun)
	written := make(chan error, 1)
	go func() { written <- write(path, frozen) }()
	for done := false; !done; {
		d, entryErr := b.randomEntry()
		if entryErr != nil {
			return s, errors.Join(entryErr, <-written)
		}
		times = append(times, d)
		select {
		case err = <-written:
			done = true
		default:
		}
	}
	s.Write = time.Since(begun)
	frozen.Release()
	if err != nil {
		return s, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return s, err
	}
	slices.Sort(times)
	s.Bytes, s.Entries, s.Reports = info.Size(), len(times), len(times)*perEntry*batch
	s.Longest, s.P99 = max(s.Freeze, times[len(times)-1]), times[len(times)*99/100]
	return s, nil
}

// randomEntry has hosts report what they hold, drawn at random, and returns how
// long the entry took to be decoded and applied.
func (b *Bench) randomEntry() (time.Duration, error) {
	e := state.Entry{Now: now}
	for range perEntry {
		h := b.hosts[b.rnd.IntN(len(b.hosts))]
		c := &state.Exchange{Request: b.request(h.key)}
		for range min(batch, len(h.held)) {
			k := b.rnd.IntN(len(h.held))
			c.Reports = append(c.Reports, b.report(h.held[k]))
			h.held[k] = h.held[len(h.held)-1]
			h.held = h.held[:len(h.held)-1]
		}
		e.Commands = append(e.Commands, state.EncodeCommand(c))
	}
	entry := state.EncodeEntry(e)
	begun := time.Now()
	_, err := applyEntry(b.state, entry)
	return time.Since(begun), err
}

// write does with a frozen state what a coordinator does: it writes and syncs.
func write(path string, frozen *state.Frozen) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err = frozen.Write(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("snapshot %s: %w", path, err)
	}
	return nil
}
