package wasi_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/client/sandbox/wasi"
	"github.com/sheafgrid/sheaf/task"
)

func TestFilesHoldWhatWasWritten(t *testing.T) {
	g := newGuest(t, wasi.Config{Output: 1 << 20})
	fd := g.open(out, "a", create, read|write)
	g.write(fd, "hello world")
	g.want(0, "fd_seek", fd, 1<<64-5, 2, g.result()) // 5 back from the end
	if got := g.read(fd, 100); got != "world" {
		t.Errorf("after seeking back: %q", got)
	}
	g.want(0, "fd_tell", fd, g.result())
	if g.u64() != 11 {
		t.Errorf("at %d, want 11", g.u64())
	}
	g.want(28, "fd_seek", fd, 1<<63, 0, g.result())   // before the beginning
	g.want(28, "fd_seek", fd, 1<<63-1, 1, g.result()) // behind the end of numbers
	g.want(28, "fd_seek", fd, 0, 3, g.result())
	g.want(0, "fd_filestat_set_size", fd, 4)
	g.want(0, "fd_filestat_set_size", fd, 6)
	p, n := g.put("!")
	g.want(0, "fd_pwrite", fd, g.vector(p, n), 1, 8, g.result())
	g.want(0, "fd_seek", fd, 0, 0, g.result())
	if got, want := g.read(fd, 100), "hell\x00\x00\x00\x00!"; got != want {
		t.Errorf("after cutting and extending: %q, want %q", got, want)
	}
	g.want(0, "fd_fdstat_set_flags", fd, 1) // append
	g.want(0, "fd_seek", fd, 0, 0, g.result())
	g.write(fd, "?")
	g.want(28, "fd_fdstat_set_flags", fd, 1<<5)
	if got, want := g.outputs()["out/a"], "hell\x00\x00\x00\x00!?"; got != want {
		t.Errorf("left %q, want %q", got, want)
	}
}

func TestOpening(t *testing.T) {
	g := newGuest(t, wasi.Config{Output: 100, Inputs: []wasi.Input{{Path: "d/f", Content: []byte("data")}}})
	g.make("f", "old")
	for _, c := range []struct {
		name        string
		fd          uint64
		path        string
		how, rights uint64
		want        wasi.Errno
	}{
		{"for reading", in, "d/f", 0, read, 0},
		{"roundabout", in, "./d//../d/f", 0, read, 0},
		{"for writing, in /in", in, "d/f", 0, read | write, 69},
		{"to cut, in /in", in, "d/f", truncate, read, 69},
		{"to create, in /in", in, "new", create, write, 69},
		{"missing", in, "g", 0, read, 44},
		{"under a file", in, "d/f/g", 0, read, 54},
		{"a file as a folder", in, "d/f", folder, read, 54},
		{"a file with a slash", in, "d/f/", 0, read, 54},
		{"a folder", in, "d", 0, read, 0},
		{"a folder with a slash", in, "d/", folder, read, 0},
		{"a folder for writing", out, ".", 0, write, 31},
		{"a folder, to cut", out, ".", truncate, read, 31},
		{"exclusively", out, "f", create | excl, write, 20},
		{"a new folder", out, "new", create | folder, read, 28},
		{"a new file with a slash", out, "new/", create, write, 28},
		{"in a missing folder", out, "no/new", create, write, 44},
		{"above the folder", in, "..", 0, read, 76},
		{"above and back", in, "../in/d/f", 0, read, 76},
		{"above, by way of below", in, "d/../../out/f", 0, read, 76},
		{"absolute", in, "/in/d/f", 0, read, 76},
		{"no path", in, "", 0, read, 44},
		{"no text", in, "\xff", 0, read, 25},
		{"a zero byte", in, "d\x00", 0, read, 25},
		{"too long", in, strings.Repeat("x/", 2049), 0, read, 37},
		{"from a stream", 1, "f", 0, read, 54},
		{"from a guess", 77, "f", 0, read, 8},
		{"unknown ways", in, "d/f", 16, read, 28},
	} {
		if got := g.opens(c.fd, c.path, c.how, c.rights); got != c.want {
			t.Errorf("%s: number %d, want %d", c.name, got, c.want)
		}
	}
	fd := g.open(out, "f", truncate, write)
	g.want(8, "fd_read", fd, 0, 0, g.result()) // not open for reading
	if got := g.outputs()["out/f"]; got != "" {
		t.Errorf("not cut: %q", got)
	}
}

func TestNamesMove(t *testing.T) {
	g := newGuest(t, wasi.Config{Output: 100})
	for _, path := range []string{"d", "d/e", "empty", "full"} {
		if got := g.path("path_create_directory", out, path); got != 0 {
			t.Fatalf("making %s: %d", path, got)
		}
	}
	g.make("d/e/f", "moves")
	g.make("full/f", "stays")
	g.make("g", "replaced")
	for _, c := range []struct {
		from, to string
		want     wasi.Errno
	}{
		{"d", "d/e/below", 28},
		{"d", "full", 55},
		{"d", "g", 54},
		{"g", "empty", 31},
		{"g", "h/", 54},
		{"none", "x", 44},
		{".", "x", 10},
		{"g", "none/x", 44},
		{"g", "g", 0},
		{"d", "empty", 0},
		{"empty/e/f", "g", 0},
		{"g", "G", 0},
	} {
		if got := g.rename(c.from, c.to); got != c.want {
			t.Errorf("%s to %s: number %d, want %d", c.from, c.to, got, c.want)
		}
	}
	if got := g.path("path_remove_directory", out, "empty"); got != 55 {
		t.Errorf("removing what is not empty: %d, want 55", got)
	}
	if got := g.path("path_remove_directory", out, "empty/e"); got != 0 {
		t.Errorf("removing what is empty: %d", got)
	}
	for _, c := range []struct {
		path string
		want wasi.Errno
	}{{"empty", 31}, {"none", 44}, {"G/", 54}, {"G", 0}} {
		if got := g.path("path_unlink_file", out, c.path); got != c.want {
			t.Errorf("unlinking %s: %d, want %d", c.path, got, c.want)
		}
	}
	if want := map[string]string{"out/full/f": "stays"}; !maps.Equal(g.outputs(), want) {
		t.Errorf("left %q, want %q", g.outputs(), want)
	}
	if got := g.path("path_remove_directory", out, "full/.."); got != 10 {
		t.Errorf("removing /out itself: %d, want 10", got)
	}
}

func TestARemovedFolderTakesNothingNew(t *testing.T) {
	g := newGuest(t, wasi.Config{Output: 100})
	g.path("path_create_directory", out, "d")
	fd := g.open(out, "d", folder, read)
	g.path("path_remove_directory", out, "d")
	if got := g.opens(fd, "f", create, write); got != 44 {
		t.Errorf("creating a file there: %d, want 44", got)
	}
}

func TestNamesThatNoOutputCanHave(t *testing.T) {
	long := strings.Repeat("x", 120)
	for _, name := range []string{"a:b", "con", "NUL.txt", "dot.", " space", "tab\t", strings.Repeat("x", 256), "READ.me"} {
		g := newGuest(t, wasi.Config{Output: 100})
		g.make("read.me", "")
		p, n := g.put(name)
		g.wantStop(task.ExitBadOutput, "path_open", out, 0, p, n, create, write, 0, 0, g.result())
		g.wantStop(task.ExitBadOutput, "path_create_directory", out, p, n)
		if got := g.opens(out, name, 0, read); got != 44 {
			t.Errorf("looking for %q: %d, want 44", name, got)
		}
	}
	g := newGuest(t, wasi.Config{Output: 100})
	g.path("path_create_directory", out, long)
	g.path("path_create_directory", out, "d")
	g.make("d/"+long, "")
	g.path("path_create_directory", out, long+"/"+long[:10])
	from, n := g.put("d")
	to, m := g.put(long + "/" + long[:20])
	g.wantStop(task.ExitBadOutput, "path_rename", out, from, n, out, to, m)
	to, m = g.put("D")
	g.want(0, "path_rename", out, from, n, out, to, m) // its own name, in another case
}

func TestLimitOnOutput(t *testing.T) {
	g := newGuest(t, wasi.Config{Output: 10})
	g.write(1, "12345")
	g.make("f", "12345")
	one, n := g.put("x")
	v := g.vector(one, n)
	g.wantStop(task.ExitOutputLimit, "fd_write", 1, v, 1, g.result())
	fd := g.open(out, "f", 0, read|write)
	g.wantStop(task.ExitOutputLimit, "fd_pwrite", fd, v, 1, 5, g.result())
	g.wantStop(task.ExitOutputLimit, "fd_pwrite", fd, v, 1, 1<<64-1, g.result())
	g.wantStop(task.ExitOutputLimit, "fd_filestat_set_size", fd, 6)
	g.wantStop(task.ExitOutputLimit, "fd_filestat_set_size", fd, 1<<64-1)
	g.want(0, "fd_pwrite", fd, v, 1, 4, g.result()) // within the file
	if got := g.path("path_unlink_file", out, "f"); got != 0 {
		t.Fatalf("unlinking: %d", got)
	}
	g.wantStop(task.ExitOutputLimit, "fd_write", 1, v, 1, g.result()) // an open file still holds its bytes
	g.want(0, "fd_close", fd)
	g.write(1, "67890")
	if got := g.outputs(); !maps.Equal(got, map[string]string{"stdout": "1234567890"}) {
		t.Errorf("left %q", got)
	}
}

func TestLimitOnFiles(t *testing.T) {
	g := newGuest(t, wasi.Config{Output: 10})
	for i := range task.MaxOutputFiles {
		g.used = 0
		g.make(fmt.Sprint(i), "")
	}
	p, n := g.put("one more")
	g.wantStop(task.ExitOutputLimit, "path_open", out, 0, p, n, create, write, 0, 0, g.result())
	g.want(0, "path_create_directory", out, p, n)
	g.path("path_unlink_file", out, "7")
	g.make("8 more", "")
	if got := len(g.outputs()); got != task.MaxOutputFiles {
		t.Errorf("%d files, want %d", got, task.MaxOutputFiles)
	}
}

func TestDescriptorsAreNumberedFromTheLowest(t *testing.T) {
	g := newGuest(t, wasi.Config{Inputs: []wasi.Input{{Path: "f"}}})
	for want := uint64(5); want < 1024; want++ {
		g.used = 0
		if got := g.open(in, "f", 0, read); got != want {
			t.Fatalf("descriptor %d, want %d", got, want)
		}
	}
	if got := g.opens(in, "f", 0, read); got != 33 {
		t.Errorf("one more: %d, want 33", got)
	}
	g.want(0, "fd_close", 700)
	g.want(0, "fd_close", 2)
	g.want(8, "fd_close", 2)
	if got := g.open(in, "f", 0, read); got != 2 {
		t.Errorf("descriptor %d, want 2", got)
	}
}

// list reads a folder through a buffer of a size.
func (g *guest) list(fd uint64, size int, visit func(name string)) {
	g.t.Helper()
	const buffer = 140 << 10
	for cookie := uint64(0); ; {
		g.want(0, "fd_readdir", fd, buffer, uint64(size), cookie, g.result())
		b := g.memory[buffer:][:g.u32()]
		for len(b) >= 24 {
			n := binary.LittleEndian.Uint32(b[16:])
			if len(b) < int(24+n) {
				break
			}
			cookie = binary.LittleEndian.Uint64(b)
			visit(string(b[24 : 24+n]))
			b = b[24+n:]
		}
		if int(g.u32()) < size {
			return
		}
	}
}

func TestListingsAreInOrder(t *testing.T) {
	want := []string{"A", "B", "a", "a.b", "aa", "z", "ä"}
	var c wasi.Config
	for _, i := range []int{3, 0, 6, 5, 1, 2, 4} {
		c.Inputs = append(c.Inputs, wasi.Input{Path: want[i]})
	}
	g := newGuest(t, c)
	for size := 27; size < 300; size++ {
		g.used = 0
		var got []string
		g.list(in, size, func(name string) { got = append(got, name) })
		if !slices.Equal(got, want) {
			t.Fatalf("through %d bytes: %q, want %q", size, got, want)
		}
	}
	g.want(54, "fd_readdir", 1, 0, 0, 0, g.result())
	g.want(0, "fd_readdir", in, 0, 100, 1<<64-1, g.result())
	if g.u32() != 0 {
		t.Error("a cookie beyond the end gave entries")
	}
}

func TestWhatIsListedMayBeRemoved(t *testing.T) {
	g := newGuest(t, wasi.Config{Output: 10})
	for i := range 50 {
		g.make(fmt.Sprintf("file-%d", i), "")
	}
	n := 0
	g.list(out, 100, func(name string) {
		n++
		if got := g.path("path_unlink_file", out, name); got != 0 {
			t.Errorf("unlinking %s: %d", name, got)
		}
	})
	if len(g.outputs()) != 0 || n != 50 {
		t.Errorf("%d found, %d left", n, len(g.outputs()))
	}
}
