package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// deadlines notes what read deadlines are set.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// An upload may stand still for 30 s at most, and has to come at 1 KiB a second
// in the long run; behind its end there is no deadline.
func TestMovingBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d deadlines
		began := time.Now()
		body := newMovingBody(&d, bytes.NewReader(make([]byte, 100<<10)))
		read := func(n int) {
			if _, err := io.ReadFull(body, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
		read(1)
		time.Sleep(10 * time.Second)
		read(100<<10 - 2) // as fast as it should
		time.Sleep(20 * time.Second)
		read(1)
		for range 3 {
			_, _ = body.Read(make([]byte, 1)) // the end
		}
		want := []time.Duration{30 * time.Second, 30*time.Second + time.Second/minUploadRate, 60 * time.Second, 60 * time.Second}
		if len(d.set) != len(want) {
			t.Fatalf("%d deadlines were set, want %d: none behind the end", len(d.set), len(want))
		}
		for i, at := range d.set {
			if got := at.Sub(began); got != want[i] {
				t.Errorf("deadline %d is %s after the beginning, want %s", i+1, got, want[i])
			}
		}
	})
}

// A body that is read where an earlier one was is what was sent, whichever of them
// is longer; and nobody keeps the memory of a long one.
func TestBodiesAreReadAgain(t *testing.T) {
	s := &Server{}
	for _, size := range []int{10, 5000, 3, 0, 5001, freeBody / 2, 7, freeBody, 100, 2 * freeBody, 20} {
		sent := bytes.Repeat([]byte{byte(size)}, size)
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(sent))
		got, release, err := s.readBody(httptest.NewRecorder(), r, protocol.MaxEnvelope)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes were sent, got %d (%v)", size, len(got), err)
		}
		if size < freeBody && cap(got) > freeBody+bytes.MinRead {
			t.Errorf("a body of %d bytes has room for %d", size, cap(got))
		}
		s.readAgain(got)
		release()
	}
}
