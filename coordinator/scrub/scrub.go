// Package scrub reads a node's blobs from the disk, one after the other and
// slowly, to find what has been damaged since it was written, and has it put in
// order from peers. A disk does not tell of a bit that flipped in a file that
// nobody reads.
//
// Where it is stands in a file, so that a node that is often restarted gets
// through all the same. It deletes nothing: a blob that no peer has whole either
// is reported, and stays as it is.
//
// Run owns one goroutine, the caller's. Report may be called from anywhere.
package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/internal/pace"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Area is a kind of blobs of a node.
type Area struct {
	Name string
	// Scrub reads all blobs whose digests are from or higher, in their order,
	// from the disk. It calls wait before it reads bytes more, and each with
	// every blob and nil or storage.ErrCorrupt.
	Scrub func(ctx context.Context, from task.Digest, wait func(context.Context, int) error, each func(task.Digest, error) error) error
	// Repair puts a peer's copy in a damaged one's place; storage.ErrNotFound
	// where no peer has it.
	Repair func(ctx context.Context, digest task.Digest) error
}

// Config says what is read, and how fast.
type Config struct {
	Areas  []Area
	Pace   int64         // bytes a second; 0: the scrubber does nothing
	Pause  time.Duration // at least this long from the beginning of one lap to that of the next
	Path   string        // the file in which it notes where it is; "": nowhere
	Logger *slog.Logger
}

// Scrubber reads blobs and has damage repaired.
type Scrubber struct {
	cfg   Config
	pacer *pace.Pacer

	mu     sync.Mutex
	report Report
}

// Report says what was found since the process began.
type Report struct {
	Laps     int64 // completed
	Blobs    int64 // read
	Bytes    int64 // read from the disk
	Damaged  int64
	Repaired int64
	Lost     []string // damaged blobs that could not be repaired: the last few
	Area     string   // where it is
	At       task.Digest
}

// keptLost bounds Report.Lost.
const keptLost = 16

// New makes a scrubber; nothing runs yet.
func New(cfg Config) *Scrubber { return &Scrubber{cfg: cfg, pacer: pace.New(cfg.Pace)} }

// Report says what was found so far.
func (s *Scrubber) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Lost = append([]string(nil), r.Lost...)
	return r
}

// retryAfter is the pause after a lap that could not go on.
const retryAfter = time.Minute

// Run reads lap after lap until ctx ends.
func (s *Scrubber) Run(ctx context.Context) error {
	if s.cfg.Pace <= 0 {
		return nil
	}
	for ctx.Err() == nil {
		began := time.Now()
		err := s.Lap(ctx)
		wait := s.cfg.Pause - time.Since(began)
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("looking for damaged blobs was interrupted; it goes on where it was", "error", err)
			wait = retryAfter
		}
		t := time.NewTimer(max(wait, 0))
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// Lap reads what is left of a lap: all blobs, unless an earlier one was
// interrupted.
func (s *Scrubber) Lap(ctx context.Context) error {
	at := s.load()
	for i := range s.cfg.Areas {
		a := &s.cfg.Areas[i]
		if at.Area != "" && at.Area != a.Name {
			continue
		}
		if err := s.area(ctx, a, at.From); err != nil {
			return err
		}
		at = position{}
	}
	if at.Area != "" { // it is not an area any more
		s.save(position{})
		return nil
	}
	s.save(position{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Laps++
	return nil
}

// saveEvery is after how many bytes the position is noted.
const saveEvery = 256 << 20

func (s *Scrubber) area(ctx context.Context, a *Area, from task.Digest) error {
	unsaved := 0
	at := from
	err := a.Scrub(ctx, from,
		func(ctx context.Context, bytes int) error {
			s.mu.Lock()
			s.report.Bytes += int64(bytes)
			s.mu.Unlock()
			unsaved += bytes
			return s.pacer.Wait(ctx, bytes)
		},
		func(d task.Digest, damage error) error {
			s.note(a, d)
			if damage != nil {
				s.damaged(ctx, a, d, damage)
			}
			at = d
			if unsaved >= saveEvery {
				unsaved = 0
				s.save(position{Area: a.Name, From: after(d)})
			}
			return ctx.Err()
		})
	if err != nil {
		s.save(position{Area: a.Name, From: at})
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	return nil
}

func (s *Scrubber) note(a *Area, d task.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Blobs++
	s.report.Area, s.report.At = a.Name, d
}

// damaged has a blob repaired, and says what came of it.
func (s *Scrubber) damaged(ctx context.Context, a *Area, d task.Digest, damage error) {
	err := a.Repair(ctx, d)
	if err != nil && ctx.Err() != nil {
		return // the next lap finds it again
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Damaged++
	if err == nil {
		s.report.Repaired++
		s.cfg.Logger.Warn("a stored blob was damaged; it was repaired from a peer", "area", a.Name, "blob", d, "damage", damage)
		return
	}
	what := fmt.Sprintf("%s/%s", a.Name, d)
	if s.report.Lost = append(s.report.Lost, what); len(s.report.Lost) > keptLost {
		s.report.Lost = s.report.Lost[1:]
	}
	next := "it is tried again in the next lap"
	if errors.Is(err, storage.ErrNotFound) {
		next = "no other coordinator has it; look whether this disk fails, and restore the blob from a backup"
	}
	s.cfg.Logger.Error("a stored blob is damaged and could not be repaired; "+next, "area", a.Name, "blob", d, "damage", damage, "why", err)
}
