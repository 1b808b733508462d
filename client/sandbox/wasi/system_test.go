package wasi_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/client/sandbox/wasi"
	"github.com/sheafgrid/sheaf/task"
)

func TestEveryServedFunctionExists(t *testing.T) {
	g := newGuest(t, wasi.Config{Output: 1})
	absent := []string{
		"fd_allocate", "fd_fdstat_set_rights", "fd_filestat_set_times", "fd_renumber", "path_filestat_set_times", "path_link",
		"path_readlink", "path_symlink", "proc_raise", "sock_accept", "sock_recv", "sock_send", "sock_shutdown",
	}
	for name, f := range g.functions {
		if name == "proc_exit" {
			continue
		}
		got := g.call(name, make([]uint64, len(f.Func.Params))...)
		if slices.Contains(absent, name) != (got == 52) {
			t.Errorf("%s answers %d; want 52 of what is not offered, and of nothing else", name, got)
		}
	}
	if len(g.functions) != 46 {
		t.Errorf("%d functions, want the 46 of preview 1", len(g.functions))
	}
}

func TestArguments(t *testing.T) {
	g := newGuest(t, wasi.Config{Args: []string{"", "zwölf"}})
	g.want(0, "args_sizes_get", g.result(), g.result()+4)
	if g.u32() != 3 || g.u64()>>32 != 12 {
		t.Errorf("%d arguments of %d bytes, want 3 of 12", g.u32(), g.u64()>>32)
	}
	g.want(0, "args_get", 100, 200)
	if got, want := string(g.memory[200:212]), "app\x00\x00zwölf\x00"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	for i, want := range []uint32{200, 204, 205} {
		if got := binary.LittleEndian.Uint32(g.memory[100+4*i:]); got != want {
			t.Errorf("pointer %d is %d, want %d", i, got, want)
		}
	}
	g.want(21, "args_get", 100, uint64(len(g.memory)-11))
	g.want(0, "environ_sizes_get", g.result(), g.result()+4)
	if g.u64() != 0 {
		t.Error("the environment is not empty")
	}
	g.want(0, "environ_get", 1<<32-1, 1<<32-1) // nothing is written anywhere
}

func TestRandomBytesAreFrozen(t *testing.T) {
	const want = "d1e644ff2dd1b9e4" // of seed 0; results already accepted depend on it
	g := newGuest(t, wasi.Config{})
	g.want(0, "random_get", 0, 3)
	g.want(0, "random_get", 3, 5)
	if got := hex.EncodeToString(g.memory[:8]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	other := newGuest(t, wasi.Config{Seed: 1})
	other.want(0, "random_get", 0, 8)
	if string(other.memory[:8]) == string(g.memory[:8]) {
		t.Error("two seeds gave the same bytes")
	}
}

func TestClockIsTheProgramsOwn(t *testing.T) {
	g := newGuest(t, wasi.Config{})
	for i := range uint64(5) {
		g.want(0, "clock_time_get", i%4, 0, g.result())
		if want := 946_684_800_000_000_000 + 1000*(i+1); g.u64() != want {
			t.Errorf("reading %d is %d, want %d", i, g.u64(), want)
		}
	}
	g.want(28, "clock_time_get", 4, 0, g.result())
	g.want(28, "clock_res_get", 4, g.result())
}

// subscribe writes a subscription.
func (g *guest) subscribe(i int, user uint64, kind byte, idOrFd uint32, timeout uint64, flags uint16) {
	w := g.memory[1000+48*i:][:48]
	clear(w)
	binary.LittleEndian.PutUint64(w, user)
	w[8] = kind
	binary.LittleEndian.PutUint32(w[16:], idOrFd)
	if kind == 0 {
		binary.LittleEndian.PutUint64(w[24:], timeout)
		binary.LittleEndian.PutUint16(w[40:], flags)
	}
}

func TestPoll(t *testing.T) {
	g := newGuest(t, wasi.Config{})
	poll := func(n uint64) string {
		g.want(0, "poll_oneoff", 1000, 2000, n, g.result())
		var b strings.Builder
		for i := range g.u32() {
			w := g.memory[2000+32*i:]
			fmt.Fprintf(&b, "%d/%d/%d ", binary.LittleEndian.Uint64(w), w[8], w[10])
		}
		g.want(0, "clock_time_get", 0, 0, g.result())
		return b.String() + fmt.Sprint(g.u64()-946_684_800_000_000_000)
	}
	g.subscribe(0, 7, 0, 1, 5_000_000, 0)
	g.subscribe(1, 8, 0, 1, 2_000_000, 0)
	if got, want := poll(2), "8/0/0 2001000"; got != want {
		t.Errorf("two clocks: %s, want %s", got, want)
	}
	g.subscribe(0, 7, 0, 0, 946_684_800_000_000_000+9_000_000, 1)
	if got, want := poll(1), "7/0/0 9001000"; got != want {
		t.Errorf("an absolute time: %s, want %s", got, want)
	}
	g.subscribe(0, 7, 0, 0, 1, 1)
	if got, want := poll(1), "7/0/0 9002000"; got != want {
		t.Errorf("a time that has passed: %s, want %s", got, want)
	}
	g.subscribe(0, 1, 0, 0, 1<<40, 0)
	g.subscribe(1, 2, 2, 1, 0, 0)
	g.subscribe(2, 3, 1, 99, 0, 0)
	g.subscribe(3, 4, 0, 9, 0, 0)
	if got, want := poll(4), "2/0/2 3/8/1 4/28/0 9003000"; got != want {
		t.Errorf("a stream, a guess, a clock that is none: %s, want %s", got, want)
	}
	g.subscribe(0, 1, 0, 0, 1<<64-1, 0)
	if got, want := poll(1), fmt.Sprint("1/0/0 ", uint64(1<<64-1-946_684_800_000_000_000)); got != want {
		t.Errorf("the end of time: %s, want %s", got, want)
	}
	g.want(28, "poll_oneoff", 1000, 2000, 0, g.result())
	g.subscribe(0, 1, 3, 0, 0, 0)
	g.want(28, "poll_oneoff", 1000, 2000, 1, g.result())
}

func TestStreamsAreCapturedAndNoTerminals(t *testing.T) {
	g := newGuest(t, wasi.Config{Output: 100})
	g.write(1, "to ")
	g.write(2, "error")
	g.write(1, "output")
	if got := g.read(0, 10); got != "" {
		t.Errorf("standard input gave %q", got)
	}
	for fd := range uint64(3) {
		g.want(0, "fd_fdstat_get", fd, g.result())
		if g.memory[g.result()] != 0 {
			t.Errorf("descriptor %d is of type %d, want 0 (unknown)", fd, g.memory[g.result()])
		}
		g.want(70, "fd_seek", fd, 0, 0, g.result())
		g.want(70, "fd_pwrite", fd, 0, 0, 0, g.result())
	}
	g.want(8, "fd_write", 0, 0, 0, g.result())
	g.want(8, "fd_read", 1, 0, 0, g.result())
	want := map[string]string{"stdout": "to output", "stderr": "error"}
	if got := g.outputs(); !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(g.system.Stderr(3)); got != "err" {
		t.Errorf("the beginning of standard error is %q", got)
	}
}

func TestExit(t *testing.T) {
	g := newGuest(t, wasi.Config{})
	for code, want := range map[uint64]task.Exit{0: 0, 1: 1, 63: 63, 64: task.ExitBadCode, 128: task.ExitBadCode, 1<<32 - 1: task.ExitBadCode} {
		g.wantStop(want, "proc_exit", code)
	}
}

func TestInputsThatCannotBeLaidOut(t *testing.T) {
	for name, paths := range map[string][]string{
		"climbs": {"../a"}, "absolute": {"/a"}, "twice": {"a", "a"}, "under a file": {"a", "a/b"}, "over a folder": {"a/b", "a"},
	} {
		var c wasi.Config
		for _, p := range paths {
			c.Inputs = append(c.Inputs, wasi.Input{Path: p})
		}
		if _, err := wasi.New(c); !errors.Is(err, wasi.ErrBadInput) {
			t.Errorf("%s: got %v, want ErrBadInput", name, err)
		}
	}
}

func TestInodesAreMadeOfPaths(t *testing.T) {
	g := newGuest(t, wasi.Config{Inputs: []wasi.Input{{Path: "a/b", Content: []byte("x")}}})
	p, n := g.put("a/b")
	g.want(0, "path_filestat_get", in, 0, p, n, g.result()-64)
	h := fnv.New64a()
	h.Write([]byte("/in/a/b"))
	if got := binary.LittleEndian.Uint64(g.memory[g.result()-64+8:]); got != h.Sum64() {
		t.Errorf("inode %x, want %x", got, h.Sum64())
	}
}
