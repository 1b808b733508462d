// Package state is the coordinator's replicated state machine.
//
// It is pure: Apply is a function of the state and the entry alone. It starts
// no goroutine, reads no clock, draws no random number, ranges over no map
// where order could show, holds no float, and does no I/O. Times and random
// numbers come in with the entry. Every replica that applied the same entries
// has the same Digest (R3).
//
// Apply holds facts, preconditions and transitions: "task 7 waits, so host 3
// may have it until T". What was chosen (which task) or judged (which result)
// arrives as a command; Apply checks that it still holds, and otherwise
// refuses with a *protocol.Error or skips that part. A command it cannot
// decode stops the node (R4): that is the caller's to enforce, by not going on
// after an error of DecodeEntry.
//
// Every kind of entity lives in a Table: pages of records, copied when they
// change after a Freeze, so that a snapshot is taken in microseconds and
// written by another goroutine while Apply goes on. Records hold no pointers
// into other records; slices and strings in them are never changed in place.
//
// Beside the tables there are indexes (index.go): derived, rebuilt by Restore,
// and no part of the digest.
//
// Apply and Freeze must not run at the same time as anything else on a State.
// Everything that only reads may run concurrently with other readers.
package state
