package state

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// There are millions of tasks and attempts, and a node is not ready before it
// has read them all: a snapshot has their pages packed by hand. Numbers are
// uvarints in their shortest form, so that each record has one encoding (R3).

// packedSection is a page of packed records.
type packedSection struct {
	Stage task.StageID `msgpack:"s"` // of tasks
	First uint64       `msgpack:"f"`
	Count uint64       `msgpack:"n"`
	Bytes []byte       `msgpack:"b,omitempty"`
}

func packTask(b []byte, t *Task) []byte {
	ripe := byte(0)
	if t.Ripe {
		ripe = 1
	}
	b = binary.AppendUvarint(b, uint64(t.Last))
	b = binary.AppendUvarint(b, uint64(t.Accepted))
	return append(b, byte(t.State), byte(t.Fail), t.Want, t.Open, t.Reported, t.Tries, ripe)
}

func unpackTask(u *unpacker, t *Task) {
	t.Last, t.Accepted = uint32(u.number(math.MaxUint32)), uint32(u.number(math.MaxUint32))
	t.State, t.Fail = TaskState(u.octet(byte(TaskGone))), FailReason(u.octet(byte(FailNoResult)))
	t.Want, t.Open, t.Reported, t.Tries = u.octet(math.MaxUint8), u.octet(math.MaxUint8), u.octet(math.MaxUint8), u.octet(math.MaxUint8)
	t.Ripe = u.octet(1) == 1
}

// hasResult reports whether an attempt in this state has an exit, work and an
// output; in every other they are zero.
func (s AttemptState) hasResult() bool { return s >= AttemptReported && s <= AttemptWrong }

func packAttempt(b []byte, a *Attempt) []byte {
	b = append(b, byte(a.State))
	if a.State == AttemptNone {
		return b // a free slot has nothing
	}
	b = binary.AppendUvarint(b, uint64(a.Serial))
	b = binary.AppendUvarint(b, uint64(a.Previous))
	b = binary.AppendUvarint(b, uint64(a.Stage))
	b = binary.AppendUvarint(b, uint64(a.Index))
	b = binary.AppendUvarint(b, uint64(a.Host))
	b = binary.AppendUvarint(append(b, byte(a.Failure)), uint64(a.Deadline))
	if !a.State.hasResult() {
		return b
	}
	b = binary.AppendUvarint(b, uint64(a.Exit))
	return append(binary.AppendUvarint(b, a.Work), a.Output[:]...)
}

func unpackAttempt(u *unpacker, a *Attempt) {
	a.State = AttemptState(u.octet(byte(AttemptDropped)))
	if a.State == AttemptNone {
		return
	}
	a.Serial = uint32(u.number(math.MaxUint32))
	a.Previous, a.Stage = uint32(u.number(math.MaxUint32)), task.StageID(u.number(math.MaxUint32))
	a.Index, a.Host = uint32(u.number(math.MaxUint32)), task.HostID(u.number(math.MaxUint32))
	a.Failure, a.Deadline = protocol.Failure(u.octet(math.MaxUint8)), task.Millis(u.number(math.MaxInt64))
	if a.State.hasResult() {
		a.Exit, a.Work = task.Exit(u.number(math.MaxUint16)), u.number(math.MaxUint64)
		copy(a.Output[:], u.take(len(a.Output)))
	}
}

// unpacker reads what was packed. After a mistake it gives zeroes, and says so
// at the end.
type unpacker struct {
	rest []byte
	err  error
}

func (u *unpacker) fail(what string) {
	if u.err == nil {
		u.err = fmt.Errorf("%s: %w", what, wire.ErrMalformed)
	}
	u.rest = nil
}

// number is a uvarint in its shortest form, of at most most.
func (u *unpacker) number(most uint64) uint64 {
	v, n := binary.Uvarint(u.rest)
	switch {
	case n <= 0 || n > 1 && u.rest[n-1] == 0:
		u.fail("a number is not whole, or longer than it must be")
		return 0
	case v > most:
		u.fail(fmt.Sprintf("a number is %d, at most %d is possible", v, most))
		return 0
	}
	u.rest = u.rest[n:]
	return v
}

func (u *unpacker) octet(most byte) byte {
	b := u.take(1)
	if len(b) == 0 || b[0] > most {
		u.fail("a value is not known")
		return 0
	}
	return b[0]
}

func (u *unpacker) take(n int) []byte {
	if len(u.rest) < n {
		u.fail("the page ends too early")
		return nil
	}
	b := u.rest[:n]
	u.rest = u.rest[n:]
	return b
}

// unpackPage reads the next page of a table of length records, of which pages
// may have been dropped.
func unpackPage[T any](payload []byte, t *Table[T], share *sharing, length uint64, unpack func(*unpacker, *T)) error {
	var in packedSection
	if err := wire.Unmarshal(payload, &in); err != nil {
		return err
	}
	p, err := t.nextPage(share, in.First, in.Count, length)
	if err != nil {
		return err
	}
	u := unpacker{rest: in.Bytes}
	for i := range in.Count {
		unpack(&u, &p.records[i])
	}
	if u.err == nil && len(u.rest) > 0 {
		u.fail(fmt.Sprintf("%d bytes follow the last record", len(u.rest)))
	}
	if u.err != nil {
		return fmt.Errorf("records from %d on: %w", in.First, u.err)
	}
	return nil
}
