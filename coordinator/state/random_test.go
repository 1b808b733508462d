package state_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// chaos runs a world of hosts that lie, vanish, return late and repeat
// themselves, for a number of steps drawn from a seed.
type chaos struct {
	*world
	rnd  *rand.Rand
	held map[task.Key][]task.AttemptID
	past []*state.Exchange
	// How often a chunk was released without some tasks, and how often some of one
	// were sealed: the others, late ones, those of a cancelled job.
	overflowed, others, late, left int
}

func newChaos(t testing.TB, seed uint64) *chaos {
	c := &chaos{world: newWorld(t), rnd: rand.New(rand.NewPCG(seed, 1)), held: map[task.Key][]task.AttemptID{}}
	for i := range byte(6) {
		c.host(10 + 5*i) // some accounts have two hosts
	}
	return c
}

func (c *chaos) pickHost() task.Key { return key(10 + 5*byte(c.rnd.IntN(6))) }

func (c *chaos) step() {
	switch p := c.rnd.IntN(100); {
	case p < 3:
		s := spec(int64(1+c.rnd.IntN(6)), uint8(1+c.rnd.IntN(4)))
		s.Check.MaxAttempts = s.Check.Replicate + uint8(c.rnd.IntN(6))
		if c.rnd.IntN(2) == 0 {
			s.Reduce = &task.Reduce{Program: program, Meter: 1, FanIn: 2, Limits: s.Limits}
		}
		c.submit(s)
	case p < 5:
		c.cancelSome()
	case p < 10:
		c.now += task.Millis(c.rnd.IntN(8000))
		c.apply(&state.Expire{Attempts: c.s.Expired(c.now, 3)})
	case p < 20:
		c.repeat()
	case p < 40:
		c.leadOnce()
	default:
		c.exchange()
	}
}

// exchange reports some of what a host holds, and takes tasks at random.
func (c *chaos) exchange() {
	h := c.pickHost()
	x := &state.Exchange{Request: c.request(h)}
	var rest []task.AttemptID
	for _, id := range c.held[h] {
		switch c.rnd.IntN(8) {
		case 0: // forgotten, never to return
		case 1:
			rest = append(rest, id)
		case 2:
			x.Dropped = append(x.Dropped, id)
		case 3:
			x.Reports = append(x.Reports, state.Report{Attempt: id, Failure: protocol.FailureEngine})
		case 4:
			x.Reports = append(x.Reports, result(id, byte(2+c.rnd.IntN(2))), result(id, 1))
		default:
			x.Reports = append(x.Reports, result(id, 1))
		}
	}
	if c.rnd.IntN(20) == 0 {
		x.Reports = append(x.Reports, result(task.AttemptID(c.rnd.Uint64()), 1), state.Report{Attempt: 1, Refused: true})
	}
	for _, n := range c.s.ActiveJobs() {
		stage := c.s.CurrentStage(n)
		for range 2 {
			x.Assign = append(x.Assign, state.Assignment{Stage: stage, Index: c.rnd.Uint64N(c.s.Stage(stage).Count + 1)})
		}
	}
	x.Assign = append(x.Assign, state.Assignment{Stage: task.StageID(c.rnd.IntN(100))})
	c.held[h] = append(rest, c.must(x).Attempts...)
	c.past = append(c.past, x)
}

// repeat sends an old exchange again.
func (c *chaos) repeat() {
	if len(c.past) == 0 {
		return
	}
	before := c.s.Digest()
	c.apply(c.past[c.rnd.IntN(len(c.past))])
	if c.s.Digest() != before {
		c.t.Fatal("R2: a repeated exchange changed the state")
	}
}

func (c *chaos) cancelSome() {
	if active := c.s.ActiveJobs(); len(active) > 3 {
		j, _ := c.s.Job(active[c.rnd.IntN(len(active))])
		c.must(&state.CancelJob{Request: c.request(publisher), Job: j.ID})
	}
}

func (c *chaos) leadOnce() {
	for _, n := range append([]task.JobNumber(nil), c.s.ActiveJobs()...) {
		stage := c.s.CurrentStage(n)
		j := &state.Judge{}
		for i, ok := c.s.Ripe(stage, 0); ok; i, ok = c.s.Ripe(stage, i+1) {
			j.Verdicts = append(j.Verdicts, c.verdict(n, stage, i))
		}
		// Verdicts that do not hold must change nothing.
		j.Verdicts = append(j.Verdicts, state.Verdict{Stage: stage, Index: c.rnd.Uint64N(8), Winner: task.AttemptID(1 + c.rnd.IntN(50))},
			state.Verdict{Stage: stage, Index: c.rnd.Uint64N(8)}, state.Verdict{Stage: 77, Index: 1, More: 1})
		c.apply(j, &state.Release{Stage: stage, Chunk: 0}, &state.Release{Stage: stage, Chunk: 5})
		if c.rnd.IntN(4) == 0 {
			if _, ok := c.s.NextLagging(stage, 0); ok {
				c.overflowed++
			}
			c.apply(&state.Overflow{Stage: stage}, &state.Overflow{Stage: stage, Chunk: 1}, &state.Overflow{Stage: 999})
		}
		c.sealSome(stage)
		st := c.s.Stage(stage)
		if _, spec := c.s.Job(n); c.s.StageReleased(stage) && spec.Count(st.Level+1) > 0 {
			c.apply(&state.OpenStage{Job: n, Level: st.Level + 1, Index: task.Digest{1}})
		}
	}
}

// sealSome seals what may be sealed, now and then, and tries what may not.
func (c *chaos) sealSome(stage task.StageID) {
	c.apply(&state.Seal{Stage: stage, Chunk: 9, Sheaf: task.Digest{1}}, &state.Seal{Stage: 999}, &state.Seal{Stage: stage}, &state.Seal{Stage: stage, Late: true})
	if c.rnd.IntN(3) > 0 {
		return
	}
	if id, chunk, ok := c.s.NextSealable(0, 0); ok {
		seal := c.sealing(id, chunk)
		wrong := *seal
		wrong.Late = !seal.Late // of another part than is due
		c.apply(&wrong, seal)
		switch k, _ := c.s.Chunk(id, chunk); {
		case k.Overflow != 0 && !seal.Late:
			c.others++
		case seal.Late && k.Released:
			c.late++
		case seal.Late:
			c.left++
		}
	}
}

// Whatever hosts and leaders do, every invariant holds after every entry (the
// world checks them), snapshots give the state back, and a restored replica
// goes on exactly as the others (R3).
func TestInvariantsHoldUnderChaos(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	overflowed, others, late, left := 0, 0, 0, 0
	for seed := range seeds {
		c := newChaos(t, seed)
		for range 400 {
			c.step()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		restored := c.copied()
		from := len(c.log)
		for range 100 {
			c.step()
		}
		for _, b := range c.log[from:] {
			now, commands, err := state.DecodeEntry(b)
			if err != nil {
				t.Fatal(err)
			}
			restored.Apply(now, commands)
		}
		if a, b := c.s.Digest(), restored.Digest(); a != b {
			t.Errorf("R3: seed %d: the restored replica has digest %s, the other %s", seed, b.Short(), a.Short())
		}
		if replayed := replay(t, c.log); replayed.Digest() != c.s.Digest() {
			t.Errorf("R3: seed %d: replaying the log gives another state", seed)
		}
		overflowed, others, late, left = overflowed+c.overflowed, others+c.others, late+c.late, left+c.left
	}
	if !testing.Short() && min(overflowed, others, late, left) < 5 {
		t.Errorf("%d chunks overflowed, of %d the others were sealed, of %d the late tasks, of %d those of a cancelled job: too few to show anything", overflowed, others, late, left)
	}
}

func replay(t testing.TB, log [][]byte) *state.State {
	t.Helper()
	s := state.New()
	var room state.CommandRoom // as nodes do it: nothing that Apply keeps may be in there
	for _, b := range log {
		room.Clear()
		now, commands, err := room.DecodeEntry(b)
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(now, commands)
	}
	return s
}

// A frozen state is written while Apply goes on, and is what it was.
func TestFrozenStateDoesNotMove(t *testing.T) {
	c := newChaos(t, 99)
	for range 300 {
		c.step()
	}
	want := c.s.Digest()
	f := c.s.Freeze()
	g := c.s.Freeze()
	var early bytes.Buffer
	if _, err := g.Write(&early); err != nil {
		t.Fatal(err)
	}
	g.Release()
	written := make(chan task.Digest)
	go func() {
		var b bytes.Buffer
		digest, err := f.Write(&b)
		if err != nil {
			t.Error(err)
		}
		f.Release()
		if !bytes.Equal(b.Bytes(), early.Bytes()) {
			t.Error("two copies of one state differ")
		}
		written <- digest
	}()
	for range 200 {
		c.step()
	}
	if got := <-written; got != want {
		t.Errorf("frozen %s, written %s", want.Short(), got.Short())
	}
	if c.s.Digest() == want {
		t.Error("nothing happened meanwhile: the test shows nothing")
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	c := newChaos(t, 5)
	for range 100 {
		c.step()
	}
	var b bytes.Buffer
	f := c.s.Freeze()
	if _, err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	f.Release()
	whole := b.Bytes()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		cut := whole[:rnd.IntN(len(whole))]
		if _, err := state.Restore(bytes.NewReader(cut)); !errors.Is(err, state.ErrSnapshot) {
			t.Fatalf("cut to %d of %d bytes: %v", len(cut), len(whole), err)
		}
		flipped := bytes.Clone(whole)
		bit := rnd.IntN(8 * len(whole))
		flipped[bit/8] ^= 1 << (bit % 8)
		if _, err := state.Restore(bytes.NewReader(flipped)); !errors.Is(err, state.ErrSnapshot) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	if _, err := state.Restore(bytes.NewReader(append(bytes.Clone(whole), 0))); !errors.Is(err, state.ErrSnapshot) {
		t.Errorf("a byte behind the end: %v", err)
	}
}

// R4: an entry of a kind this program does not know, or a damaged one, is an
// error, never skipped.
func TestR4UnknownOrDamagedEntry(t *testing.T) {
	unknown := state.EncodeEntry(state.Entry{Now: 1, Commands: [][]byte{wire.Seal(9999, nil)}})
	if _, _, err := state.DecodeEntry(unknown); err == nil {
		t.Error("R4: an unknown kind was decoded")
	}
	b := state.EncodeEntry(state.Entry{Now: 1, Commands: [][]byte{state.EncodeCommand(&state.Release{Stage: 1})}})
	for bit := range 8 * len(b) {
		g := bytes.Clone(b)
		g[bit/8] ^= 1 << (bit % 8)
		if _, _, err := state.DecodeEntry(g); err == nil {
			t.Fatalf("R4: bit %d flipped, and the entry was decoded", bit)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	w := newChaos(f, 3)
	for range 30 {
		w.step()
	}
	for _, b := range w.log {
		if len(b) < 400 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		now, commands, err := state.DecodeEntry(b)
		if err != nil {
			return
		}
		s := replay(t, w.log)
		s.Apply(now, commands)
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzRestore(f *testing.F) {
	w := newWorld(f)
	var b bytes.Buffer
	frozen := w.s.Freeze()
	if _, err := frozen.Write(&b); err != nil {
		f.Fatal(err)
	}
	frozen.Release()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := state.Restore(bytes.NewReader(b)); err == nil {
			s.Apply(1, []state.Command{&state.ForgetSessions{Before: 1}})
		}
	})
}
