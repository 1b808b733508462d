package validation_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/validation"
)

func vote(output byte) validation.Vote {
	return validation.Vote{Output: task.Digest{output}, Work: 10}
}

func TestDecide(t *testing.T) {
	a, b, c := vote(1), vote(2), vote(3)
	failed := validation.Vote{Exit: 1, Output: task.Digest{1}, Work: 10}
	inflated := validation.Vote{Output: task.Digest{1}, Work: 11}
	for _, k := range []struct {
		name      string
		replicate uint8
		votes     []validation.Vote
		open      int
		tries     int
		want      validation.Decision
	}{
		{"1 of 1", 1, []validation.Vote{a}, 0, 1, validation.Decision{Kind: validation.Accept}},
		{"1 of 2 yet", 2, []validation.Vote{a}, 1, 2, validation.Decision{Kind: validation.Wait}},
		{"2 of 2", 2, []validation.Vote{a, a}, 0, 2, validation.Decision{Kind: validation.Accept}},
		{"2 differ", 2, []validation.Vote{a, b}, 0, 2, validation.Decision{Kind: validation.More, More: 1}},
		{"2 differ, a third is out", 2, []validation.Vote{a, b}, 1, 3, validation.Decision{Kind: validation.Wait}},
		{"2 of 3 after a lie", 2, []validation.Vote{a, b, b}, 0, 3, validation.Decision{Kind: validation.Accept, Winner: 1}},
		{"3 differ", 2, []validation.Vote{a, b, c}, 0, 3, validation.Decision{Kind: validation.More, More: 1}},
		{"2 of 3 before the third", 3, []validation.Vote{a, a}, 1, 3, validation.Decision{Kind: validation.Accept}},
		{"3 of 5 short by 2", 5, []validation.Vote{a, b, c}, 0, 5, validation.Decision{Kind: validation.More, More: 2}},
		{"one expired", 2, []validation.Vote{a}, 0, 2, validation.Decision{Kind: validation.More, More: 1}},
		{"attempts run out", 2, []validation.Vote{a, b}, 0, 8, validation.Decision{Kind: validation.Fail}},
		{"too few left to agree", 5, []validation.Vote{a, b}, 0, 7, validation.Decision{Kind: validation.Fail}},
		{"the same outputs, another exit", 2, []validation.Vote{a, failed}, 0, 2, validation.Decision{Kind: validation.More, More: 1}},
		{"the same outputs, more work", 2, []validation.Vote{a, inflated}, 0, 2, validation.Decision{Kind: validation.More, More: 1}},
		{"a program's error is a result", 2, []validation.Vote{failed, failed}, 0, 2, validation.Decision{Kind: validation.Accept}},
	} {
		check := task.Check{Replicate: k.replicate, MaxAttempts: 8}
		if got := validation.Decide(check, k.votes, k.open, k.tries); got != k.want {
			t.Errorf("%s: got %+v, want %+v", k.name, got, k.want)
		}
	}
}

// Whatever the votes, an accepted value has its quorum, and a task that is
// given more attempts can still reach it.
func TestDecideNeverAcceptsAMinority(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		check := task.Check{Replicate: rapid.Uint8Range(1, 15).Draw(t, "replicate"), MaxAttempts: 100}
		var votes []validation.Vote
		for range rapid.IntRange(0, 30).Draw(t, "votes") {
			votes = append(votes, vote(rapid.ByteRange(0, 4).Draw(t, "value")))
		}
		tries := len(votes) + rapid.IntRange(0, 80).Draw(t, "lost")
		d := validation.Decide(check, votes, 0, tries)
		count := map[validation.Vote]int{}
		best := 0
		for _, v := range votes {
			count[v]++
			best = max(best, count[v])
		}
		switch d.Kind {
		case validation.Accept:
			if count[votes[d.Winner]] < check.Quorum() {
				t.Fatalf("accepted %d of %d votes, quorum %d", count[votes[d.Winner]], len(votes), check.Quorum())
			}
		case validation.More:
			if best+d.More != check.Quorum() || tries+d.More > int(check.MaxAttempts) {
				t.Fatalf("%d more, best %d, quorum %d, tries %d", d.More, best, check.Quorum(), tries)
			}
		case validation.Fail:
			if tries+check.Quorum()-best <= int(check.MaxAttempts) {
				t.Fatalf("failed after %d tries with %d of %d", tries, best, check.Quorum())
			}
		case validation.Wait:
			t.Fatal("waits although nothing is out")
		}
	})
}

func TestCredit(t *testing.T) {
	for work, want := range map[uint64]int64{0: 1, 1: 1, 999_999: 1, 1_000_000: 1, 2_500_000: 2, 1 << 60: 1152921504606} {
		if got := validation.Credit(work); got != want {
			t.Errorf("%d instructions earn %d, want %d", work, got, want)
		}
	}
}
