package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/types"
)

// promised is what whoever uses the log, the votes and the snapshots knows.
type promised struct {
	must     map[uint64]string          // entries that were stored, and not deleted since
	may      map[uint64]map[string]bool // what an entry can be
	last     uint64                     // the highest entry ever asked for
	vote     uint64                     // stored
	voting   uint64                     // being stored, or vote
	snapshot uint64                     // index of the newest that was finished
	err      error                      // the first; nothing was done after it
}

func newPromised() *promised {
	return &promised{must: map[uint64]string{}, may: map[uint64]map[string]bool{}}
}

// do runs f unless something failed before.
func (p *promised) do(f func() error) bool {
	if p.err == nil {
		p.err = f()
	}
	return p.err == nil
}

// text is an entry's bytes: in its generation, which a new leader changes.
func text(i uint64, generation int) string {
	return fmt.Sprintf("entry %d of generation %d %s", i, generation, strings.Repeat("x", int(i*37%300)))
}

func (p *promised) store(w *wal.WAL, generation int, from, to uint64) {
	var logs []*raft.Log
	for i := from; i <= to; i++ {
		data := text(i, generation)
		if p.err == nil {
			if p.may[i] == nil {
				p.may[i] = map[string]bool{}
			}
			p.may[i][data] = true
			p.last = max(p.last, i)
		}
		logs = append(logs, &raft.Log{Index: i, Term: uint64(generation), Type: raft.LogCommand, Data: []byte(data)})
	}
	if p.do(func() error { return w.StoreLogs(logs) }) {
		for i := from; i <= to; i++ {
			p.must[i] = text(i, generation)
			p.may[i] = map[string]bool{p.must[i]: true}
		}
	}
}

func (p *promised) remove(w *wal.WAL, from, to uint64) {
	if p.err == nil {
		for i := from; i <= to; i++ {
			delete(p.must, i)
		}
	}
	if p.do(func() error { return w.DeleteRange(from, to) }) {
		for i := from; i <= to; i++ {
			delete(p.may, i)
		}
	}
}

func (p *promised) elect(w *wal.WAL, term uint64) {
	if p.err == nil {
		p.voting = term
	}
	if p.do(func() error { return w.SetUint64([]byte("CurrentTerm"), term) }) {
		p.vote = term
	}
}

// stateAt is what a snapshot of an index holds.
func stateAt(i uint64) []byte { return bytes.Repeat([]byte(fmt.Sprintf("state at %d ", i)), 200) }

func (p *promised) take(s *snapshots, i uint64) {
	ok := p.do(func() error {
		k, err := s.Create(1, i, 1, raft.Configuration{}, 0, nil)
		if err != nil {
			return err
		}
		if _, err := k.Write(stateAt(i)); err != nil {
			return errors.Join(err, k.Cancel())
		}
		return k.Close()
	})
	if ok {
		p.snapshot = i
	}
}

// script uses a node's files in every way that raft does.
func script(f *simFiles) *promised {
	p := newPromised()
	w, s, err := f.open()
	if p.err = err; err != nil {
		return p
	}
	defer w.Close()
	p.elect(w, 1)
	p.store(w, 1, 1, 1)
	p.store(w, 1, 2, 8)
	p.store(w, 1, 9, 30) // more than one file
	p.take(s, 20)
	p.remove(w, 1, 15)
	p.store(w, 1, 31, 40)
	p.remove(w, 36, 40) // entries of a leader that lost its office
	p.elect(w, 2)
	p.store(w, 2, 36, 37)
	p.store(w, 2, 38, 55)
	p.take(s, 45)
	p.remove(w, 16, 40)
	p.take(s, 50)
	p.take(s, 52) // the first one goes
	p.store(w, 2, 56, 57)
	p.remove(w, 41, 50)
	p.elect(w, 3)
	p.store(w, 3, 58, 58)
	return p
}

// wantKept checks that all that was promised is there, and nothing that was
// never asked for.
func wantKept(t *testing.T, w *wal.WAL, s *snapshots, p *promised) {
	t.Helper()
	first, err1 := w.FirstIndex()
	last, err2 := w.LastIndex()
	if err := errors.Join(err1, err2); err != nil {
		t.Error(err)
	}
	for i := range p.must {
		if i < first || i > last {
			t.Errorf("R1: entry %d was stored, and the log has %d to %d", i, first, last)
		}
	}
	for i := first; i <= last && i > 0; i++ {
		var l raft.Log
		if err := w.GetLog(i, &l); err != nil {
			t.Errorf("entry %d: %v", i, err)
			continue
		}
		if want, ok := p.must[i]; ok && string(l.Data) != want {
			t.Errorf("R1: entry %d is %.40q, want %.40q", i, l.Data, want)
		} else if !p.may[i][string(l.Data)] {
			t.Errorf("entry %d is %.40q, which was never stored or was deleted", i, l.Data)
		}
	}
	if vote, err := w.GetUint64([]byte("CurrentTerm")); err != nil && p.vote > 0 || vote != p.vote && vote != p.voting {
		t.Errorf("R1: the vote is %d (%v), want %d or %d", vote, err, p.vote, p.voting)
	}
	wantSnapshot(t, s, p)
}

func wantSnapshot(t *testing.T, s *snapshots, p *promised) {
	t.Helper()
	listed, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(listed) == 0 {
		if p.snapshot > 0 {
			t.Errorf("R1: the snapshot of entry %d is gone", p.snapshot)
		}
		return
	}
	if listed[0].Index < p.snapshot {
		t.Errorf("R1: the newest snapshot is that of entry %d, want %d", listed[0].Index, p.snapshot)
	}
	_, r, err := s.Open(listed[0].ID)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, stateAt(listed[0].Index)) {
		t.Errorf("snapshot %s holds %d bytes (%v), not what was written", listed[0].ID, len(b), err)
	}
}

// wantGoesOn opens a folder, checks it, uses it and opens it once more.
func wantGoesOn(t *testing.T, name string, f *simFiles, p *promised) {
	t.Helper()
	w, s, err := f.open()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if wantKept(t, w, s, p); t.Failed() {
		t.Fatal(name)
	}
	again := *p
	again.err = nil
	next, err := w.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	for i := range next { // what is there now was promised, as raft sees it
		var l raft.Log
		if w.GetLog(i+1, &l) == nil {
			again.must[i+1] = string(l.Data)
		}
	}
	again.vote, _ = w.GetUint64([]byte("CurrentTerm"))
	again.elect(w, again.vote+1)
	if next == 0 {
		next = again.snapshot
	}
	again.store(w, 9, next+1, next+9)
	again.take(s, next+4)
	err = errors.Join(again.err, w.Close())
	if err != nil {
		t.Fatalf("%s: going on: %v", name, err)
	}
	if w, s, err = f.open(); err != nil {
		t.Fatalf("%s: opened again: %v", name, err)
	}
	wantKept(t, w, s, &again)
	if err := w.Close(); err != nil || t.Failed() {
		t.Fatalf("%s: opened again: %v", name, err)
	}
}

// stride is 1: every step is tried. The race detector, which finds nothing in
// the second step that it did not find in the first, tries some.
func stride() int {
	if testing.Short() {
		return 7
	}
	return 1
}

// steps is how many steps the whole script takes.
func steps(t *testing.T) int {
	t.Helper()
	whole := newSimFiles(t)
	if p := script(whole); p.err != nil {
		t.Fatal(p.err)
	}
	return whole.disk.Steps()
}

func (p *promised) clone() *promised {
	c := *newPromised()
	for i, v := range p.must {
		c.must[i] = v
	}
	for i, v := range p.may {
		c.may[i] = map[string]bool{}
		for k := range v {
			c.may[i][k] = true
		}
	}
	c.last, c.vote, c.voting, c.snapshot = p.last, p.vote, p.voting, p.snapshot
	return &c
}

// R1: what the log, the votes and the snapshots promised survives a power cut
// at any step.
func TestPowerCutAtEveryStep(t *testing.T) {
	n, seeds := steps(t), uint64(3)
	for k := 1; k <= n+1; k += stride() {
		f := newSimFiles(t)
		f.disk.CutAt(f.disk.Steps() + k)
		p := script(f)
		for seed := range seeds {
			after := f.afterPowerCut(rand.New(rand.NewPCG(uint64(k), seed)))
			wantGoesOn(t, fmt.Sprintf("power cut at step %d, seed %d", k, seed), after, p.clone())
		}
	}
	fmt.Printf("consensus: log, votes and snapshots: %d crash points of a power cut, %d outcomes each\n", (n+stride())/stride(), seeds)
}

// A process that dies leaves names that are not synced; what the next one finds
// must survive a power cut all the same, once it has promised it.
func TestKillAtEveryStepThenPowerCut(t *testing.T) {
	n := steps(t)
	for k := 1; k <= n; k += stride() {
		f := newSimFiles(t)
		f.disk.CutAt(f.disk.Steps() + k)
		p := script(f)
		f.restart(rand.New(rand.NewPCG(uint64(k), 0)))
		w, s, err := f.open()
		if err != nil {
			t.Fatalf("kill at step %d: %v", k, err)
		}
		next, _ := w.LastIndex()
		if next == 0 {
			next = p.snapshot
		}
		p.err = nil
		p.store(w, 8, next+1, next+2)
		p.take(s, next+1)
		if err := errors.Join(p.err, w.Close()); err != nil {
			t.Fatalf("kill at step %d: going on: %v", k, err)
		}
		for seed := range uint64(1) {
			after := f.afterPowerCut(rand.New(rand.NewPCG(uint64(k), seed)))
			wantGoesOn(t, fmt.Sprintf("kill at step %d, power cut of seed %d", k, seed), after, p.clone())
		}
	}
	fmt.Printf("consensus: log, votes and snapshots: %d crash points of a kill before a power cut\n", (n+stride()-1)/stride())
}

// An error of the disk, at any step, is told; what was promised stays.
func TestErrorAtEveryStep(t *testing.T) {
	n := steps(t)
	for _, failure := range []error{syscall.EIO, syscall.ENOSPC} {
		for k := 1; k <= n; k += stride() {
			f := newSimFiles(t)
			f.disk.FailAt(f.disk.Steps()+k, failure)
			p := script(f)
			name := fmt.Sprintf("%v at step %d (%s)", failure, k, f.disk.Failed())
			switch f.disk.Failed() {
			case "", "close", "remove", "sync directory": // at worst, a file is left over that nobody needs
			default:
				if !errors.Is(p.err, failure) && !errors.Is(p.err, types.ErrSealed) { // the latter: the next file could not be begun
					t.Errorf("%s: nobody was told: %v", name, p.err)
				}
			}
			f.disk.FailAt(0, nil)
			after := f.afterPowerCut(rand.New(rand.NewPCG(uint64(k), 1)))
			wantGoesOn(t, name, after, p.clone())
		}
	}
	fmt.Printf("consensus: log, votes and snapshots: %d points of an I/O error, of 2 kinds\n", (n+stride()-1)/stride())
}
