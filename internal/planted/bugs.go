// Package planted puts known bugs into the program, to see that the tests which
// are there to catch them do. Nothing of it is in a program that was not built
// with the tag "planted": Is is false there, and the compiler leaves the bug
// out. Built with the tag, the environment variable SHEAF_PLANTED names the
// one bug that is in.
//
// Its test, with the tag, runs each bug's test twice: with the bug it must
// fail, and say why; without, pass.
package planted

// A Bug is something that must never be.
type Bug string

// The bugs.
const (
	AckBeforeSync       Bug = "ack-before-sync"        // an entry of the log is acknowledged, and its file never synced
	SkipDuplicateCheck  Bug = "skip-duplicate-check"   // a repeated request is carried out again
	StaleRead           Bug = "stale-read"             // a reading that wants what is newest is answered by any node
	DoubleCredit        Bug = "double-credit"          // a result that is reported again is paid again
	SealBeforeMajority  Bug = "seal-before-majority"   // records go although too few nodes have their sheaf
	LeaderClockAhead    Bug = "leader-clock-ahead"     // a new leader's clock is an hour ahead
	MapOrder            Bug = "map-order"              // Apply goes through a map in the order in which it comes
	DropDirectorySync   Bug = "drop-directory-sync"    // a new blob's name is not synced
	DropSnapshotDirSync Bug = "drop-snapshot-dir-sync" // a snapshot's name is not synced
	OutputsBeforeSync   Bug = "outputs-before-sync"    // small outputs are acknowledged before they are synced
	RemoveBeforeCopied  Bug = "remove-before-copied"   // a member goes although what it has is not on a majority of the others
)
