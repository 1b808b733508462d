package gate_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/internal/gate"
)

// door is a listener at which tests knock, from any address.
type door struct {
	in     chan net.Conn
	closed chan struct{}
}

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.in:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error   { close(d.closed); return nil }
func (d *door) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// line is one end of a connection, with the address of the other.
type line struct {
	net.Conn
	from net.Addr
}

func (l line) RemoteAddr() net.Addr { return l.from }

// house is a server behind a gate, in virtual time.
type house struct {
	*gate.Gate
	t    *testing.T
	door *door
	log  bytes.Buffer
}

// newHouse serves what a handler says until the test ends.
func newHouse(t *testing.T, cfg gate.Config, handler http.HandlerFunc) *house {
	h := &house{t: t, door: &door{in: make(chan net.Conn), closed: make(chan struct{})}}
	cfg.Logger = slog.New(slog.NewTextHandler(&h.log, nil))
	h.Gate = gate.New(h.door, cfg)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Hour, IdleTimeout: time.Hour}
	h.Attach(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(h.Gate); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server ended with %v", err)
		}
	}()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return h
}

// visitor is the other end of a connection.
type visitor struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

// visit connects from an address; a second passes.
func (h *house) visit(ip string) *visitor {
	ours, theirs := net.Pipe()
	h.door.in <- line{theirs, &net.TCPAddr{IP: net.ParseIP(ip), Port: 1000}}
	h.t.Cleanup(func() { _ = ours.Close() })
	time.Sleep(time.Second)
	return &visitor{Conn: ours, t: h.t, in: bufio.NewReader(ours)}
}

// say sends something, whoever reads it.
func (v *visitor) say(text string) *visitor {
	go io.WriteString(v, text)
	time.Sleep(time.Second)
	return v
}

// ask makes a request and reads its answer.
func (v *visitor) ask() string {
	v.t.Helper()
	v.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	return v.answer()
}

func (v *visitor) answer() string {
	v.t.Helper()
	res, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Sprintf("%s after %d bytes", err, len(b))
	}
	return string(b)
}

// isIn reports whether the connection was not closed.
func (v *visitor) isIn() bool {
	v.t.Helper()
	if v.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
		return false // a pipe whose other end is closed
	}
	_, err := v.in.Peek(1)
	var late net.Error
	return (err == nil || errors.As(err, &late) && late.Timeout()) && v.SetReadDeadline(time.Time{}) == nil
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// Who connects when it is full is let in, for the one that has said nothing for
// the longest time; then for the one that asked last the longest ago.
func TestTheLongestWaitingMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Config{Limit: 3}, hello)
		asked := h.visit("192.0.2.1")
		if got := asked.ask(); got != "hello" {
			t.Fatalf("answered %q", got)
		}
		half := h.visit("192.0.2.2").say("GET / HTTP/1.1\r\nHo")
		silent := h.visit("192.0.2.3")
		want := func(moment string, a, b, c bool) {
			t.Helper()
			if asked.isIn() != a || half.isIn() != b || silent.isIn() != c {
				t.Errorf("%s: who has asked, half asked, not asked is in: %v %v %v, want %v %v %v", moment, asked.isIn(), half.isIn(), silent.isIn(), a, b, c)
			}
		}
		want("when it is full", true, true, true)
		for i, left := range [][3]bool{{true, false, true}, {true, false, false}, {false, false, false}} {
			newcomer := h.visit("192.0.2.4")
			if got := newcomer.ask(); got != "hello" {
				t.Fatalf("newcomer %d: answered %q", i+1, got)
			}
			want(fmt.Sprintf("newcomer %d", i+1), left[0], left[1], left[2])
		}
		if c := h.Counts(); c != (gate.Counts{Open: 3, Entered: 6, Cut: 3}) {
			t.Errorf("counted %+v", c)
		}
		if n := strings.Count(h.log.String(), "\n"); n != 1 {
			t.Errorf("%d lines in the log, want one:\n%s", n, h.log.String())
		}
	})
}

// The log is told every ten seconds at most.
func TestTheLogIsNotFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Config{Limit: 1}, hello)
		for range 101 {
			h.visit("192.0.2.1")
		}
		if n := strings.Count(h.log.String(), "\n"); n != 10 || !strings.Contains(h.log.String(), "closed_so_far=91") {
			t.Errorf("%d lines in the log after 100 s, want 10:\n%s", n, h.log.String())
		}
	})
}

// One address has its share, and its connections make room for each other;
// loopback has none.
func TestOneAddressHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Config{Limit: 100, PerHost: 2}, hello)
		honest := h.visit("192.0.2.9")
		for _, ips := range [][]string{
			{"192.0.2.1", "192.0.2.1", "192.0.2.1"},
			{"2001:db8::1", "2001:db8::2", "2001:db8::ffff"},
			{"127.0.0.1", "127.0.0.1", "127.0.0.1"},
		} {
			var all []*visitor
			for _, ip := range ips {
				all = append(all, h.visit(ip))
			}
			if first := all[0].isIn(); first != (ips[0] == "127.0.0.1") {
				t.Errorf("%s: the first of three connections is in: %v", ips[0], first)
			}
			if !all[1].isIn() || !all[2].isIn() {
				t.Errorf("%s: the last two connections are not in", ips[0])
			}
		}
		if !honest.isIn() {
			t.Error("another address lost its connection")
		}
	})
}

// Who is being served is not closed: who comes then is turned away.
func TestWhoIsServedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		h := newHouse(t, gate.Config{Limit: 1}, func(w http.ResponseWriter, _ *http.Request) {
			<-end
			io.WriteString(w, "served")
		})
		served := h.visit("192.0.2.1").say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if h.visit("192.0.2.2").isIn() {
			t.Error("a second one was let in where there is room for one")
		}
		close(end)
		if got := served.answer(); got != "served" {
			t.Errorf("answered %q", got)
		}
		if c := h.Counts(); c != (gate.Counts{Open: 1, Entered: 1, Refused: 1}) {
			t.Errorf("counted %+v", c)
		}
	})
}

// When it is full, a body that comes by the byte makes room, and one that comes
// as fast as it should does not; nor does an answer that is read.
func TestSlowBodiesAndReadersMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, gate.Config{Limit: 3}, func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(make([]byte, 1<<20))
		})
		const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
		slow := h.visit("192.0.2.1").say(head).say("x").say("y")
		fast := h.visit("192.0.2.2").say(head).say(strings.Repeat("x", 100_000))
		reader := h.visit("192.0.2.3").say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(2 * time.Second)
		for i, cut := range []uint64{1, 2} {
			h.visit("192.0.2.4").say(head).say(strings.Repeat("x", 100_000))
			if c := h.Counts(); c.Cut != cut || c.Refused != 0 || slow.isIn() {
				t.Errorf("newcomer %d: counted %+v, want %d closed; the slow body is in: %v", i+1, c, cut, slow.isIn())
			}
		}
		if _, err := io.Copy(io.Discard, reader.in); reader.isIn() {
			t.Errorf("the slow reader is still in (%v)", err)
		}
		if !fast.isIn() {
			t.Error("the fast body was closed")
		}
	})
}
