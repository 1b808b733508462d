// Package validation decides which results are right.
//
// It is pure: a decision is a function of the votes and the rule alone. It
// never sees outputs, only what hosts reported about them, and it never acts;
// what it decides is proposed to the log, where Apply checks the facts again.
package validation

import "github.com/sheafgrid/sheaf/task"

// Vote is one result that counts: returned by a host whose account has no
// other counting result for the task (T2).
type Vote struct {
	Exit   task.Exit
	Output task.Digest
	Work   uint64
}

// Equal reports whether two hosts say the same. The work count is part of it:
// both ran the same rewritten module, so that a different count with the same
// output means a faulty or a dishonest meter. Two hosts that differ in it do
// not confirm each other, and nobody gains credit by counting more.
func (v Vote) Equal(other Vote) bool { return v == other }

// Kind says what is to be done with a task.
type Kind uint8

// The kinds of decisions.
const (
	Wait   Kind = iota // for attempts that are still out
	More               // hand out further attempts
	Accept             // the winner's result is the task's
	Fail               // the attempts have run out
)

// Decision is what is to be done with a task.
type Decision struct {
	Kind   Kind
	More   int // with More: how many
	Winner int // with Accept: the place of a vote that is right
}

// Decide judges one task by replication: a result is accepted when more than
// half of check.Replicate hosts returned it. open is how many attempts are
// still out or wanted, tries how many were ever handed out.
//
// The first value that reaches the quorum wins; with votes that each count
// once, two values cannot both reach it unless more than Replicate hosts
// voted, and then the first by order of votes is taken.
func Decide(check task.Check, votes []Vote, open, tries int) Decision {
	quorum := check.Quorum()
	best := 0
	for i, v := range votes {
		same := 0
		for _, other := range votes {
			if v.Equal(other) {
				same++
			}
		}
		if same >= quorum {
			return Decision{Kind: Accept, Winner: i}
		}
		best = max(best, same)
	}
	if open > 0 {
		return Decision{Kind: Wait}
	}
	need := quorum - best
	if tries+need > int(check.MaxAttempts) {
		return Decision{Kind: Fail}
	}
	return Decision{Kind: More, More: need}
}

// WorkPerCredit is how many counted instructions earn one credit.
const WorkPerCredit = 1_000_000

// Credit is what a validated result earns: its work in millions of counted
// instructions, at least 1.
func Credit(work uint64) int64 {
	return int64(max(1, work/WorkPerCredit))
}
