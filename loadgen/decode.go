package loadgen

import (
	"encoding/binary"
	"errors"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// errReply is returned for bytes that are no reply to an exchange.
var errReply = errors.New("the answer is no reply to an exchange")

// reply is what a simulated host reads of a protocol.Reply to an exchange. Its
// slices are used again; leader and acks are parts of the bytes it was read from.
type reply struct {
	acks     []byte
	attempts []attempt
	leader   []byte
	refused  *protocol.Error // instead of all of the above
}

// decode reads the payload of a reply's frame.
func (r *reply) decode(payload []byte) error {
	*r = reply{attempts: r.attempts[:0]}
	d := decoder{b: payload}
	for range d.entries() {
		switch d.key() {
		case 'x':
			r.exchange(&d)
		case 'e':
			r.refused = d.refusal()
		default:
			d.skip()
		}
	}
	if d.bad || len(d.b) != 0 {
		return errReply
	}
	return nil
}

func (r *reply) exchange(d *decoder) {
	for range d.entries() {
		switch d.key() {
		case 'k':
			r.acks = d.bytes()
		case 'a':
			for range d.list() {
				r.attempts = append(r.attempts, d.attempt())
			}
		case 'l':
			r.leader = d.bytes()
		default:
			d.skip()
		}
		if d.bad {
			return
		}
	}
}

// decoder reads msgpack forwards. The first thing that is wrong makes it bad;
// from then on it has no bytes left and everything reads as zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.b, d.bad = nil, true }

func (d *decoder) attempt() (a attempt) {
	for range d.entries() {
		switch d.key() {
		case 'i':
			a.id = task.AttemptID(d.number())
		case 's':
			if copy(a.sum[:], d.bytes()) != len(a.sum) {
				d.fail()
			}
		case 'x':
			a.index = d.number()
		default:
			d.skip()
		}
	}
	return a
}

func (d *decoder) refusal() *protocol.Error {
	e := &protocol.Error{}
	for range d.entries() {
		switch d.key() {
		case 'c':
			e.Code = protocol.Code(d.number())
		case 't':
			e.Text = string(d.bytes())
		case 'r':
			e.RetryMillis = uint32(d.number())
		default:
			d.skip()
		}
	}
	return e
}

// key reads the name of a field. Those of protocol have one letter; any other
// name is 0.
func (d *decoder) key() byte {
	name := d.bytes()
	if len(name) != 1 {
		return 0
	}
	return name[0]
}

// Kinds of values as the decoder tells them apart.
const (
	kindNumber = iota
	kindBytes  // text, too
	kindList
	kindMap
	kindOther // nil, booleans
)

// head reads the beginning of a value: a number itself, or how many bytes,
// elements or entries follow. More than there are bytes left is refused.
func (d *decoder) head() (kind int, n uint64) {
	if len(d.b) == 0 {
		d.fail()
		return kindOther, 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	switch {
	case c < 0x80:
		return kindNumber, uint64(c)
	case c < 0x90:
		kind, n = kindMap, uint64(c&0x0f)
	case c < 0xa0:
		kind, n = kindList, uint64(c&0x0f)
	case c < 0xc0:
		kind, n = kindBytes, uint64(c&0x1f)
	case c == 0xc0 || c == 0xc2 || c == 0xc3:
		return kindOther, uint64(c & 1)
	case c >= 0xc4 && c <= 0xc6:
		kind, n = kindBytes, d.wide(1<<(c-0xc4))
	case c >= 0xcc && c <= 0xcf:
		return kindNumber, d.wide(1 << (c - 0xcc))
	case c >= 0xd9 && c <= 0xdb:
		kind, n = kindBytes, d.wide(1<<(c-0xd9))
	case c == 0xdc || c == 0xdd:
		kind, n = kindList, d.wide(2<<(c-0xdc))
	case c == 0xde || c == 0xdf:
		kind, n = kindMap, d.wide(2<<(c-0xde))
	default:
		d.fail() // floats, extensions and negative numbers have no place in a reply
		return kindOther, 0
	}
	if n > uint64(len(d.b)) {
		d.fail()
		return kindOther, 0
	}
	return kind, n
}

// wide reads a number of some bytes.
func (d *decoder) wide(width int) uint64 {
	if len(d.b) < width {
		d.fail()
		return 0
	}
	b := d.b[:width]
	d.b = d.b[width:]
	switch width {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}

// want reads the head of a value that must be of a kind.
func (d *decoder) want(kind int) uint64 {
	k, n := d.head()
	if k != kind {
		d.fail()
		return 0
	}
	return n
}

func (d *decoder) number() uint64  { return d.want(kindNumber) }
func (d *decoder) list() uint64    { return d.want(kindList) }
func (d *decoder) entries() uint64 { return d.want(kindMap) }

// bytes reads text or bytes, which stay those of the reply.
func (d *decoder) bytes() []byte {
	n := d.want(kindBytes)
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

// skip passes over one whole value. Each value that is still to come takes at
// least a byte, so the count cannot run away.
func (d *decoder) skip() {
	for left := uint64(1); left > 0; left-- {
		kind, n := d.head()
		switch kind {
		case kindBytes:
			d.b = d.b[n:]
		case kindList:
			left += n
		case kindMap:
			left += 2 * n
		}
		if d.bad || left > uint64(len(d.b))+1 {
			d.fail()
			return
		}
	}
}
