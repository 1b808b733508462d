package gate_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/internal/gate"
)

// An answer ends where its reader takes it too slowly, and not before.
func TestSlowReaders(t *testing.T) {
	for _, k := range []struct {
		name  string
		rate  int // bytes a second
		whole bool
		after time.Duration // at the latest
	}{
		{"takes nothing", 0, false, 31 * time.Second},
		{"takes a byte a second", 1, false, 32 * time.Second},
		{"takes 512 bytes a second", 512, false, 3 * time.Minute},
		{"takes 2 KiB a second", 2 << 10, true, time.Hour},
	} {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := make(chan bool, 1)
				began := time.Now()
				h := newHouse(t, gate.Config{Limit: 1}, func(w http.ResponseWriter, _ *http.Request) {
					_, err := w.Write(make([]byte, 2<<20))
					failed <- err != nil
				})
				v := h.visit("192.0.2.1").say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				reading := make(chan struct{})
				go func() {
					defer close(reading)
					for b := make([]byte, max(1, k.rate)); k.rate > 0; time.Sleep(time.Second) {
						if _, err := io.ReadFull(v, b); err != nil {
							return
						}
					}
				}()
				defer func() {
					_ = v.Close()
					<-reading
				}()
				if got := <-failed; got == k.whole || time.Since(began) > k.after {
					t.Errorf("writing failed: %v, after %s", got, time.Since(began))
				}
			})
		})
	}
}

// A body that is announced and does not come ends, though the handler does not
// read it.
func TestABodyThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Config{Limit: 1}, hello)
		v := h.visit("192.0.2.1").say("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
		began := time.Now()
		if got := v.answer(); got != "hello" {
			t.Errorf("answered %q", got)
		}
		if _, err := v.in.ReadByte(); err == nil || time.Since(began) > 31*time.Second {
			t.Errorf("the connection was not closed within 31 s: %v after %s", err, time.Since(began))
		}
	})
}

// Who announces far too much has the answer at once.
func TestTooMuchIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Config{Limit: 1}, hello)
		began := time.Now()
		v := h.visit("192.0.2.1").say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\nx")
		if got := v.answer(); got != "hello" || time.Since(began) > 5*time.Second {
			t.Errorf("answered %q after %s", got, time.Since(began))
		}
		time.Sleep(time.Second) // net/http closes a moment later
	})
}

// What is done with a body that has arrived may take longer than the body may,
// though its end is read twice: here of somebody whom the gate has released.
func TestAnArrivedBodyHasNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{in: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 2 {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					t.Error(err)
				}
			}
			select {
			case <-r.Context().Done():
				t.Errorf("what was done with the body was canceled: %v", r.Context().Err())
			case <-time.After(5 * time.Minute):
			}
			hello(w, r)
		})}
		gate.New(d, gate.Config{Limit: 1}).Attach(server)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(d)
		}()
		v := (&house{t: t, door: d}).visit("192.0.2.1").say("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		if got := v.answer(); got != "hello" {
			t.Errorf("answered %q", got)
		}
		_ = server.Close()
		<-done
	})
}

// A connection that was released is counted no more, and may write as slowly as
// it likes.
func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{in: make(chan net.Conn, 2), closed: make(chan struct{})}
		g := gate.New(d, gate.Config{Limit: 1})
		ours, theirs := net.Pipe()
		d.in <- line{theirs, &net.TCPAddr{IP: net.ParseIP("192.0.2.1")}}
		c, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.ReadFull(ours, make([]byte, 9)) }()
		if _, err := io.WriteString(c, "handshake"); err != nil {
			t.Fatal(err)
		}
		free := gate.Release(c)
		if n := g.Counts().Open; n != 0 {
			t.Errorf("%d connections are counted, want none", n)
		}
		if again := gate.Release(free); again != free {
			t.Error("what is not a gate's was changed")
		}
		go func() {
			time.Sleep(time.Hour)
			_, _ = io.ReadFull(ours, make([]byte, 5))
		}()
		if _, err := io.WriteString(free, "hello"); err != nil {
			t.Errorf("writing for an hour: %v", err)
		}
	})
}

func TestHostOf(t *testing.T) {
	for _, k := range []struct {
		from net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.7")}, "192.0.2.7"},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.7")}, "192.0.2.7"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3::4")}, "2001:db8:1:2::"},
		{&net.TCPAddr{IP: net.ParseIP("::1")}, "::1"},
		{&net.UnixAddr{Name: "x"}, "invalid IP"},
	} {
		if got := gate.HostOf(k.from).String(); got != k.want {
			t.Errorf("the host of %s is %s, want %s", k.from, got, k.want)
		}
	}
}

// A refused upload's answer reaches its sender over TCP, although not all that
// was sent was read.
func TestAnswerBeforeTheBody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := gate.New(l, gate.Config{Limit: 8})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})}
	g.Attach(server)
	go server.Serve(g)
	defer server.Close()
	res, err := http.Post("http://"+l.Addr().String(), "text/plain", strings.NewReader(strings.Repeat("x", 4<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("answered %s", res.Status)
	}
}
