package loadgen

import (
	"encoding/binary"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// attempt is one task that a host holds.
type attempt struct {
	id    task.AttemptID
	index uint64
	sum   task.Digest
}

// encoder writes exchanges: the same bytes as package wire, several times
// cheaper. It knows the few fields that a simulated host sets.
type encoder struct {
	facts []byte // protocol.HostFacts, encoded
	list  []byte // the canonical list of outputs but for its last bytes, the digest
}

func newEncoder(facts protocol.HostFacts) *encoder {
	list := answerList(task.Digest{}).Encode()
	return &encoder{facts: wire.Marshal(&facts), list: list[:len(list)-len(task.Digest{})]}
}

// exchange appends a protocol.Exchange that reports the one list, holds the
// other, and wants some more.
func (e *encoder) exchange(b []byte, report, hold []attempt, want int) []byte {
	fields := 3 // want, allow all, facts
	if len(report) > 0 {
		fields++
	}
	if len(hold) > 0 {
		fields++
	}
	b = append(b, 0x80|byte(fields))
	if len(report) > 0 {
		b = appendArray(append(b, 0xa1, 'r'), len(report))
		for i := range report {
			b = e.report(b, &report[i])
		}
	}
	if len(hold) > 0 {
		b = appendArray(append(b, 0xa1, 'h'), len(hold))
		for i := range hold {
			b = appendUint(b, uint64(hold[i].id))
		}
	}
	b = appendUint(append(b, 0xa1, 'w'), uint64(want))
	b = append(b, 0xa1, 'l', 0xc3, 0xa1, 'f')
	return append(b, e.facts...)
}

// report appends a protocol.Report with a result.
func (e *encoder) report(b []byte, a *attempt) []byte {
	out := Answer(a.sum)
	digest := task.Sum(out[:])
	b = appendUint(append(b, 0x86, 0xa1, 'i'), uint64(a.id))
	b = appendBytes(append(b, 0xa1, 't'), a.sum[:])
	b = append(b, 0xa1, 'x', 0)
	b = appendUint(append(b, 0xa1, 'w'), answerWork)
	b = append(b, 0xa1, 'o', 0xc4, byte(len(e.list)+len(digest)))
	b = append(append(b, e.list...), digest[:]...)
	return appendBytes(append(b, 0xa1, 'b', 0x91), out[:])
}

// envelope appends a signed protocol.Envelope.
func (e *encoder) envelope(b []byte, v *protocol.Envelope) []byte {
	b = appendUint(append(b, 0x89, 0xa1, 'v'), uint64(v.Version))
	b = appendBytes(append(b, 0xa1, 'c'), v.Cluster[:])
	b = appendBytes(append(b, 0xa1, 'k'), v.Key[:])
	b = appendUint(append(b, 0xa1, 's'), uint64(v.Session))
	b = appendUint(append(b, 0xa1, 'o'), uint64(v.Opened))
	b = appendUint(append(b, 0xa1, 'n'), v.Number)
	b = appendUint(append(b, 0xa1, 'p'), uint64(v.Purpose))
	b = appendBytes(append(b, 0xa1, 'b'), v.Payload)
	return appendBytes(append(b, 0xa1, 'g'), v.Signature)
}

// appendUint appends a number in its shortest form.
func appendUint(b []byte, n uint64) []byte {
	switch {
	case n < 1<<7:
		return append(b, byte(n))
	case n < 1<<8:
		return append(b, 0xcc, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
}

// appendArray appends the head of a list of fewer than 65,536 elements.
func appendArray(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x90|byte(n))
	}
	return binary.BigEndian.AppendUint16(append(b, 0xdc), uint16(n))
}

// appendBytes appends a byte string.
func appendBytes(b, v []byte) []byte {
	switch n := len(v); {
	case n < 1<<8:
		b = append(b, 0xc4, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xc5), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(n))
	}
	return append(b, v...)
}
