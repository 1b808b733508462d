package sheaves

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/sheafgrid/sheaf/task"
)

// ErrMalformed is returned for bytes that are no sheaf, or not the canonical
// form of one.
var ErrMalformed = errors.New("not a sheaf")

// Decode reads what Encode wrote, and nothing else.
func Decode(b []byte) (*Sheaf, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(b), MaxBytes)
	}
	r := reader{b: b}
	if string(r.take(len(magic))) != magic {
		return nil, fmt.Errorf("%w: it does not begin like one", ErrMalformed)
	}
	s := &Sheaf{}
	copy(s.Job[:], r.take(len(s.Job)))
	s.Level = r.byte()
	s.First = r.uvarint(task.MaxTasks)
	// Nothing is allocated for more than the bytes that are there can hold.
	s.Hosts = make([]task.Key, r.count(len(b), len(task.Key{})))
	for i := range s.Hosts {
		copy(s.Hosts[i][:], r.take(len(task.Key{})))
	}
	s.Tasks = make([]Task, r.count(MaxTasks, 1))
	for i := range s.Tasks {
		s.Tasks[i] = r.task(len(s.Hosts))
	}
	if r.bad || len(r.b) != 0 || !bytes.Equal(s.Encode(), b) {
		return nil, fmt.Errorf("%w: it is cut short, too long, or not canonical", ErrMalformed)
	}
	return s, nil
}

// reader reads the form; bad stays set once something was amiss.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

// uvarint reads a number of at most limit.
func (r *reader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || v > limit {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many things follow: no more than limit, nor than the bytes
// that are left can hold if each takes size of them.
func (r *reader) count(limit, size int) int {
	return int(r.uvarint(uint64(min(limit, len(r.b)/size))))
}

func (r *reader) task(hosts int) (t Task) {
	switch t.Fail = r.byte(); t.Fail {
	case missing:
		return Task{Missing: true}
	case 0:
		t.Result = r.result()
	}
	t.Attempts = make([]Attempt, r.count(task.MaxAttempts, 3))
	for i := range t.Attempts {
		a := Attempt{ID: task.AttemptID(r.uvarint(math.MaxUint64)), Host: int(r.uvarint(uint64(hosts))), End: End(r.byte())}
		if a.Host >= hosts || a.End < Valid || a.End > lastEnd || a.End == Valid && t.Fail != 0 {
			r.bad = true
		}
		switch {
		case r.bad:
			return t
		case a.End == Valid:
			a.Result = t.Result
		case a.End.HasResult():
			a.Result = r.result()
		}
		t.Attempts[i] = a
	}
	return t
}

func (r *reader) result() (x Result) {
	x.Exit = task.Exit(r.uvarint(0xffff))
	x.Work = r.uvarint(task.MaxWork)
	copy(x.Output[:], r.take(len(x.Output)))
	return x
}
