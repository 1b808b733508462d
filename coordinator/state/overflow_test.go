package state_test

import (
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
)

// straggling is a job of one chunk and a bit, two of whose hosts return
// everything but a few tasks.
type straggling struct {
	*world
	a, b   task.Key
	stage  task.StageID
	held   [2]map[uint64]task.AttemptID // by task
	sheafs []*sheaves.Sheaf
}

const (
	chunkTasks = uint64(state.ChunkTasks)
	allTasks   = chunkTasks + 100
)

// stragglers are the tasks that drag on: one with a result that waits for another,
// two whose attempts are out, on a page and alone.
var stragglers = []uint64{5, 300, 301, 4095}

// newStraggling hands out all tasks, and has all results but those of late tasks.
func newStraggling(t *testing.T, late []uint64) *straggling {
	s := &straggling{world: newWorld(t)}
	s.a, s.b = s.host(10), s.host(20)
	n := s.submit(spec(int64(allTasks), 2))
	s.stage = s.s.CurrentStage(n)
	all := make([]uint64, allTasks)
	for i := range all {
		all[i] = uint64(i)
	}
	for h, host := range []task.Key{s.a, s.b} {
		s.held[h] = map[uint64]task.AttemptID{}
		for i, id := range s.give(host, s.stage, all...) {
			s.held[h][uint64(i)] = id
		}
		var reports []state.Report
		for i := range chunkTasks {
			if !slices.Contains(late, i) || h == 0 && i == 5 {
				reports = append(reports, s.right(h, i))
			}
		}
		s.report(host, reports...)
	}
	s.judgeAll()
	return s
}

// right is the result of a task, one that no other has.
func (s *straggling) right(h int, i uint64) state.Report {
	r := result(s.held[h][i], byte(i))
	r.Output[1] = byte(i >> 8)
	r.Exit = task.Exit(i % 2)
	return r
}

// judgeAll judges every ripe task in one entry.
func (s *straggling) judgeAll() {
	n := s.s.ActiveJobs()[0]
	j := &state.Judge{}
	for i, ok := s.s.Ripe(s.stage, 0); ok; i, ok = s.s.Ripe(s.stage, i+1) {
		j.Verdicts = append(j.Verdicts, s.verdict(n, s.stage, i))
	}
	s.apply(j)
}

// seal seals what is due of a chunk, and keeps the sheaf.
func (s *straggling) seal(chunk uint64) {
	kept, late := s.s.Collect(s.stage, chunk, new(state.SheafRoom))
	s.sheafs = append(s.sheafs, kept)
	s.apply(&state.Seal{Stage: s.stage, Chunk: chunk, Sheaf: kept.Digest(), Late: late})
}

// rest returns and seals what is left, after the stragglers of chunk 0.
func (s *straggling) rest() {
	for h, host := range []task.Key{s.a, s.b} {
		var reports []state.Report
		for i := chunkTasks; i < allTasks; i++ {
			reports = append(reports, s.right(h, i))
		}
		s.report(host, reports...)
	}
	s.judgeAll()
	s.apply(&state.Release{Stage: s.stage, Chunk: 1})
	s.seal(1)
}

// records is how many tasks have records.
func (s *straggling) records() (n int) {
	for i := range allTasks {
		if _, ok := s.s.Task(s.stage, i); ok {
			n++
		}
	}
	return n
}

func (s *straggling) earned() (sum int64) {
	for _, k := range []task.Key{s.a, s.b} {
		_, h, _ := s.s.HostByKey(k)
		sum += h.Earned
	}
	return sum
}

// T6: a few tasks that drag on pin neither the records nor the outputs of their
// chunk. They go on, are released and sealed later, and the roots are those of
// the same job in which nothing dragged on.
func TestStragglersDoNotPinTheirChunk(t *testing.T) {
	plain := newStraggling(t, nil)
	plain.apply(&state.Release{Stage: plain.stage})
	plain.seal(0)
	plain.rest()

	s := newStraggling(t, stragglers)
	size := len(snapshotOf(t, s.s))
	if c, ok := s.s.NextLagging(s.stage, 0); !ok || c != 0 {
		t.Fatalf("chunk %d (%v) may be released without some tasks, want chunk 0", c, ok)
	}
	if s.s.DragsOn(s.stage, 0) {
		t.Error("tasks drag on before any deadline has passed")
	}
	s.apply(&state.Release{Stage: s.stage}) // it has no effect
	s.apply(&state.Overflow{Stage: s.stage, Chunk: 1})
	if got := s.s.Released(s.stage); got != 0 {
		t.Fatalf("%d tasks are released", got)
	}
	s.apply(&state.Overflow{Stage: s.stage})
	once := s.s.Digest()
	if got, want := s.s.Released(s.stage), chunkTasks-uint64(len(stragglers)); got != want {
		t.Errorf("%d tasks are released, want %d", got, want)
	}
	if want := int64(2 * 5 * (chunkTasks - uint64(len(stragglers)))); s.earned() != want {
		t.Errorf("the hosts earned %d, want %d", s.earned(), want)
	}
	s.apply(&state.Overflow{Stage: s.stage}, &state.Release{Stage: s.stage}, &state.Seal{Stage: s.stage, Late: true, Sheaf: task.Digest{1}})
	if s.s.Digest() != once {
		t.Error("what does not hold changed the state")
	}
	s.s = s.copied()
	s.seal(0)
	if got, want := s.records(), len(stragglers)+100; got != want {
		t.Errorf("%d tasks have records, want %d", got, want)
	}
	if now := len(snapshotOf(t, s.s)); now > size/10 {
		t.Errorf("the state takes %d bytes in a snapshot, and took %d", now, size)
	}
	for i := uint64(0); i < allTasks; i += 100 {
		pinned := i >= chunkTasks || slices.ContainsFunc(stragglers, func(k uint64) bool { return k/256 == i/256 })
		if got := s.s.OutputGroupGone(state.OutputGroup(s.stage, i)); got == pinned {
			t.Errorf("outputs near task %d have gone: %v", i, got)
		}
	}
	s.s = s.copied()

	// They go on: an attempt is lost, another comes late, the others in time.
	s.now += 20_000
	s.apply(&state.Expire{Attempts: s.s.Expired(s.now, 1000)})
	if i, ok := s.s.Waiting(s.stage, 0); !ok || i != 5 {
		t.Errorf("task %d waits (%v), want 5", i, ok)
	}
	wantAcks(t, s.report(s.a, s.right(0, 4)), protocol.AckGone)                                            // sealed
	wantAcks(t, s.report(s.b, s.right(1, 5), s.right(1, 300)), protocol.AckAccepted, protocol.AckAccepted) // late
	c := s.host(30)
	if n := len(s.give(c, s.stage, 4, 5)); n != 0 {
		t.Errorf("%d attempts at tasks that want none were given", n)
	}
	ids := s.give(c, s.stage, 300, 301, 4095)
	for k, i := range []uint64{300, 301, 4095} {
		s.held[0][i] = ids[k]
		wantAcks(t, s.report(c, s.right(0, i)), protocol.AckAccepted)
	}
	wantAcks(t, s.report(s.b, s.right(1, 301), s.right(1, 4095)), protocol.AckAccepted, protocol.AckAccepted)
	s.s = s.copied()
	s.judgeAll()
	if c, ok := s.s.NextReleasable(s.stage, 0); !ok || c != 0 {
		t.Fatal("every straggler has its verdict, and the chunk cannot be released")
	}
	s.apply(&state.Release{Stage: s.stage})
	s.s = s.copied()
	s.seal(0)
	if got := s.records(); got != 100 {
		t.Errorf("%d tasks have records, want the last 100", got)
	}
	s.rest()
	got, want := s.s.Stage(s.stage), plain.s.Stage(plain.stage)
	if got.Root != want.Root || got.Root.IsZero() || got.Errors != want.Errors || got.Accepted != allTasks {
		t.Errorf("the stage is %+v, want the root and the counts of %+v", got, want)
	}
	var evidence task.Tree
	for _, kept := range s.sheafs {
		d := kept.Digest()
		evidence.Add(d[:])
	}
	if got.Evidence != evidence.Root() || len(s.sheafs) != 3 {
		t.Errorf("the evidence root does not cover the %d sheaves", len(s.sheafs))
	}
	k, _ := s.s.Chunk(s.stage, 0)
	if whole, err := sheaves.Merge(s.sheafs[0], s.sheafs[1]); err != nil || whole.Root() != k.Root {
		t.Errorf("the two sheaves of the chunk do not make up its root: %v", err)
	}
	if s.s.Digest() != replay(t, s.log).Digest() {
		t.Error("R3: replaying the log gives another state")
	}
}

// A cancelled job leaves no straggler behind: the others have their sheaf, and
// what was decided since is paid.
func TestCancelledJobDropsItsStragglers(t *testing.T) {
	for _, sealedBefore := range []bool{false, true} {
		s := newStraggling(t, stragglers)
		s.apply(&state.Overflow{Stage: s.stage})
		if sealedBefore {
			s.seal(0)
		}
		s.report(s.b, s.right(1, 5))
		s.judgeAll()
		j, _ := s.s.Job(1)
		s.must(&state.CancelJob{Request: s.request(publisher), Job: j.ID})
		for stage, chunk, ok := s.s.NextSealable(0, 0); ok; stage, chunk, ok = s.s.NextSealable(0, 0) {
			s.apply(s.sealing(stage, chunk))
		}
		parts := 0
		s.s.SealedParts(s.stage, 0, 2, func(p state.Part) { parts++ })
		if n := s.records(); n != 0 || parts != 1 {
			t.Errorf("%d records and %d sheaves are left, want none and one", n, parts)
		}
		if want := int64(2 * 5 * (chunkTasks - uint64(len(stragglers)) + 1)); s.earned() != want {
			t.Errorf("the hosts earned %d, want %d", s.earned(), want)
		}
		s.copied()
	}
}
