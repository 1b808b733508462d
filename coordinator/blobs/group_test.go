package blobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

func small(text string) []storage.Small {
	return []storage.Small{{Digest: task.Sum([]byte(text)), Bytes: []byte(text)}}
}

// What comes while one batch is on its way goes together; each caller hears
// what became of his.
func TestGroupsShareTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rounds []int
		var background sync.WaitGroup
		broken := errors.New("broken")
		g := &groups{put: func(_ context.Context, blobs []storage.Small) error {
			time.Sleep(time.Second)
			rounds = append(rounds, len(blobs))
			if len(rounds) == 3 {
				return broken
			}
			return nil
		}}
		var callers sync.WaitGroup
		put := func(text string, want error) {
			callers.Go(func() {
				if err := g.join(t.Context(), small(text), background.Go); !errors.Is(err, want) {
					t.Errorf("%s: got %v, want %v", text, err, want)
				}
			})
		}
		put("first", nil)
		synctest.Wait()
		for i := range 20 {
			put(fmt.Sprint("second ", i), nil)
		}
		bad := small("x")
		bad[0].Digest = task.Digest{1}
		if err := g.join(t.Context(), bad, background.Go); !errors.Is(err, storage.ErrMismatch) {
			t.Errorf("a wrong digest: %v", err)
		}
		time.Sleep(1500 * time.Millisecond)
		put("third", broken)
		callers.Wait()
		put("fourth", nil)
		callers.Wait()
		background.Wait()
		if fmt.Sprint(rounds) != "[1 20 1 1]" {
			t.Errorf("rounds of %v blobs, want 1, 20, 1 and 1", rounds)
		}
	})
}

// A caller that goes away does not take the others' blobs along.
func TestGroupOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := 0
		var background sync.WaitGroup
		g := &groups{put: func(ctx context.Context, blobs []storage.Small) error {
			time.Sleep(time.Second)
			if ctx.Err() == nil {
				stored += len(blobs)
			}
			return ctx.Err()
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() { _ = g.join(ctx, small("a"), background.Go) })
		synctest.Wait()
		callers.Go(func() {
			if err := g.join(t.Context(), small("b"), background.Go); err != nil {
				t.Error(err)
			}
		})
		cancel()
		callers.Wait()
		background.Wait()
		if stored != 2 {
			t.Errorf("%d blobs were stored, want both", stored)
		}
	})
}

// What is stored already is not stored again, unless nothing else is: then it
// takes its time.
func TestGroupsStoreEachOnce(t *testing.T) {
	grouped := func(group uint64, texts ...string) (batch []storage.Small) {
		for _, text := range texts {
			b := storage.SmallOf([]byte(text))
			b.Group = group
			batch = append(batch, b)
		}
		return batch
	}
	var stored [][]string
	var fails error
	g := &groups{put: func(_ context.Context, blobs []storage.Small) error {
		var texts []string
		for _, b := range blobs {
			texts = append(texts, fmt.Sprint(b.Group, string(b.Bytes)))
		}
		stored = append(stored, texts)
		return fails
	}}
	for _, step := range []struct {
		batch []storage.Small
		err   error
		want  string
	}{
		{grouped(1, "a", "b", "a"), nil, "[1a 1b]"},
		{grouped(1, "b", "c"), nil, "[1c]"},
		{grouped(1, "a", "c"), nil, "[1a 1c]"},                     // nothing else is there to be stored
		{append(grouped(2, "a"), grouped(1, "a")...), nil, "[2a]"}, // in another group it is another blob
		{grouped(1, "d"), errors.New("broken"), "[1d]"},
		{grouped(1, "a", "d"), nil, "[1a 1d]"}, // after a failure nothing is known
		{grouped(0, "e"), nil, "[0e]"},
		{grouped(0, "e", "f"), nil, "[0e 0f]"}, // may have been deleted meanwhile
	} {
		stored, fails = nil, step.err
		err := g.join(t.Context(), step.batch, func(fn func()) { fn() })
		if !errors.Is(err, step.err) || len(stored) != 1 || fmt.Sprint(stored[0]) != step.want {
			t.Errorf("stored %v (%v), want %s (%v)", stored, err, step.want, step.err)
		}
	}
}

// Who has his answer, or went away, may use the memory of his blobs again.
func TestGroupsKeepNobodysBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stored []storage.Small
		var background sync.WaitGroup
		g := &groups{put: func(_ context.Context, blobs []storage.Small) error {
			time.Sleep(time.Second)
			for _, b := range blobs {
				b.Bytes = bytes.Clone(b.Bytes)
				stored = append(stored, b)
			}
			return nil
		}}
		texts := []string{"first", "came and went", "waited"}
		ctx, cancel := context.WithCancel(t.Context())
		contexts := []context.Context{t.Context(), ctx, t.Context()}
		var callers sync.WaitGroup
		for i, text := range texts {
			callers.Go(func() {
				blobs := small(text)
				if err := g.join(contexts[i], blobs, background.Go); (err != nil) != (i == 1) {
					t.Errorf("%s: %v", text, err)
				}
				copy(blobs[0].Bytes, "written over")
				blobs[0].Digest = task.Digest{}
			})
			synctest.Wait()
		}
		cancel()
		callers.Wait()
		background.Wait()
		if len(stored) != len(texts) {
			t.Fatalf("%d blobs were stored, want %d", len(stored), len(texts))
		}
		for i, b := range stored {
			if string(b.Bytes) != texts[i] || b.Digest != task.Sum([]byte(texts[i])) {
				t.Errorf("stored %q, want %q", b.Bytes, texts[i])
			}
		}
	})
}

// A node that is never idle stores its thousandth round as it did its first: with
// a context of the same depth.
func TestRoundsOfABusyNodeCostTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first, last, rounds int
		var background sync.WaitGroup
		g := &groups{put: func(ctx context.Context, _ []storage.Small) error {
			time.Sleep(time.Second)
			if last = len(fmt.Sprint(ctx)); rounds == 0 {
				first = last
			}
			rounds++
			return nil
		}}
		var callers sync.WaitGroup
		for i := range 100 {
			callers.Go(func() {
				time.Sleep(time.Duration(i) * 500 * time.Millisecond)
				if err := g.join(t.Context(), small(fmt.Sprint(i)), background.Go); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		background.Wait()
		if rounds < 40 || last != first {
			t.Errorf("the context of round %d is written in %d letters, that of the first in %d", rounds, last, first)
		}
	})
}
