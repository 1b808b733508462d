package wasi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

// check reports what no sequence of calls may lead to.
func (s *System) check(t *testing.T) {
	t.Helper()
	held, seen := s.stdout.size+s.stderr.size, map[*node]bool{}
	files, folders := 0, 0
	var walk func(n *node)
	walk = func(n *node) {
		for name, child := range n.children {
			if child.name != name || child.parent != n || child.unlinked || n.folded[strings.ToLower(name)] != child {
				t.Fatalf("%q is not linked as it should be", name)
			}
			if child.isFolder() {
				folders++
				walk(child)
			} else {
				files++
				held += child.body.size
			}
			seen[child] = true
		}
		if len(n.folded) != len(n.children) {
			t.Fatalf("%d folded names of %d", len(n.folded), len(n.children))
		}
	}
	walk(s.out)
	opened := map[*node]int{}
	for _, d := range s.open {
		if d == nil || d.node == nil || d.preopened {
			continue
		}
		if n := d.node; n.unlinked && !n.isFolder() && !seen[n] {
			seen[n] = true
			held += n.body.size
		}
		opened[d.node]++
	}
	for n, want := range opened {
		if n.opened != want {
			t.Fatalf("%q counts %d descriptors, want %d", n.name, n.opened, want)
		}
	}
	if s.used != held || s.used > s.limit {
		t.Fatalf("%d bytes accounted for, %d are held, the limit is %d", s.used, held, s.limit)
	}
	if s.files != files || s.folders != folders {
		t.Fatalf("%d files and %d folders counted, there are %d and %d", s.files, s.folders, files, folders)
	}
	var list task.OutputList
	for _, o := range s.Outputs() {
		list = append(list, task.OutputFile{Name: o.Name, Size: o.Size})
	}
	if err := list.Check(); err != nil {
		t.Fatalf("outputs: %v", err)
	}
}

type testMemory []byte

func (m testMemory) Read(offset, n uint32) ([]byte, bool) {
	if uint64(offset)+uint64(n) > uint64(len(m)) {
		return nil, false
	}
	return m[offset:][:n], true
}

// paths are what random calls name, and where layout puts them.
var paths = [...]string{"a", "b", "a/b", "..", "a/../b", "con", "A", ".", "f/f", "a/b/c", "f", "x", "x/y/z"}

// layout fills a small memory with what makes calls succeed: paths from 0 on,
// 32 bytes each, vectors at 1024, subscriptions at 2048.
func layout(m testMemory) {
	clear(m[:4096])
	for i, path := range paths {
		copy(m[32*i:], path)
	}
	for i := range 8 {
		binary.LittleEndian.PutUint32(m[1024+8*i:], uint32(5000+100*i))
		binary.LittleEndian.PutUint32(m[1028+8*i:], uint32(1<<(2*i)))
	}
	m[2048+48+8] = 1
	m[2048+96+8] = 2
}

// shapes tell what the arguments of a call mean, a letter for each; they are
// drawn accordingly. Calls that are not listed get zeros.
var shapes = map[string]string{
	"args_get": "rr", "args_sizes_get": "rr", "clock_time_get": "w0r", "fd_advise": "d00w", "fd_close": "d", "fd_fdstat_get": "dr",
	"fd_fdstat_set_flags": "df", "fd_filestat_get": "dr", "fd_filestat_set_size": "do", "fd_pread": "dvkor", "fd_prestat_get": "dr",
	"fd_prestat_dir_name": "dro", "fd_pwrite": "dvkor", "fd_read": "dvkr", "fd_readdir": "droWr", "fd_seek": "dowr", "fd_tell": "dr",
	"fd_write": "dvkr", "path_create_directory": "DPn", "path_filestat_get": "D0Pnr", "path_open": "D0PnhRRfr",
	"path_remove_directory": "DPn", "path_rename": "DPnDPn", "path_unlink_file": "DPn", "poll_oneoff": "srwr", "random_get": "ro",
}

// arguments draws the arguments of a call. Now and then one is anything.
func arguments(f Function, next func() uint64, memory uint64) []uint64 {
	args := make([]uint64, len(f.Func.Params))
	path := paths[0]
	for i := range args {
		v := next()
		switch letter := (shapes[f.Name] + "000000000")[i]; letter {
		case 'd':
			args[i] = v % 12
		case 'D':
			args[i] = [...]uint64{3, 4, 4, 4, 5, 6, 7}[v%7]
		case 'P':
			path = paths[v%uint64(len(paths))]
			args[i] = v % uint64(len(paths)) * 32
		case 'n':
			args[i] = uint64(len(path))
		case 'r':
			args[i] = 4096 + v%1024
		case 'v':
			args[i] = 1024
		case 'k':
			args[i] = v % 9
		case 'o':
			args[i] = [...]uint64{0, 1, 7, 100, 600, 4096, 70_000, 200_000}[v%8]
		case 'w':
			args[i] = v % 4
		case 'W':
			args[i] = v % 6
		case 'f':
			args[i] = v % 33
		case 'h':
			args[i] = [...]uint64{0, 1, 1, 1, 2, 5, 8, 9, 16}[v%9]
		case 'R':
			args[i] = [...]uint64{rightRead, rightRead | rightWrite, rightWrite, 0}[v%4]
		case 's':
			args[i] = 2048
		}
		if v>>8%32 == 0 {
			edges := [...]uint64{0, memory - 1, memory, memory - 8, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<63 - 1, 1 << 63, 1<<64 - 1}
			args[i] = edges[(v>>16)%uint64(len(edges))]
		}
	}
	return args
}

// play makes calls as next says.
func play(t *testing.T, calls int, next func() uint64) {
	s, err := New(Config{Args: []string{"x"}, Output: 150_000, Inputs: []Input{{Path: "a/b", Content: []byte("data")}, {Path: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	m := make(testMemory, 64<<10)
	layout(m)
	functions := Functions()
	for i := range calls {
		f := functions[next()%uint64(len(functions))]
		args := arguments(f, next, uint64(len(m)))
		if _, err := f.Call(s, m, args); err != nil {
			var stop *Stop
			if !errors.As(err, &stop) || !stop.Exit.Valid() {
				t.Fatalf("%s%d: %v", f.Name, args, err)
			}
			// A program ends here; the system must still be sound.
		}
		if i%16 == 0 {
			s.check(t)
			layout(m)
		}
	}
	s.check(t)
}

func TestAnyCallsLeaveTheSystemSound(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		play(t, 3000, r.Uint64)
	}
}

// Every function with every combination of two extreme arguments, the others
// being zero, and with all arguments extreme.
func TestExtremeArguments(t *testing.T) {
	extremes := []uint64{0, 1, 3, 1<<16 - 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	for _, f := range Functions() {
		n := len(f.Func.Params)
		s, err := New(Config{Output: 100})
		if err != nil {
			t.Fatal(err)
		}
		m := make(testMemory, 64<<10)
		try := func(args []uint64) {
			_, err := f.Call(s, m, args)
			var stop *Stop
			if err != nil && !errors.As(err, &stop) {
				t.Errorf("%s%d: %v", f.Name, args, err)
			}
		}
		for i := range n {
			for k := range n {
				for _, a := range extremes {
					for _, b := range extremes {
						args := make([]uint64, n)
						args[i], args[k] = a, b
						try(args)
					}
				}
			}
		}
		for _, a := range extremes {
			args := make([]uint64, n)
			for i := range args {
				args[i] = a
			}
			try(args)
		}
		s.check(t)
	}
}

func FuzzCalls(f *testing.F) {
	f.Add([]byte("some calls"))
	f.Add(bytes.Repeat([]byte{31, 0, 4, 0, 2, 0}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		next := func() uint64 {
			if len(b) < 2 {
				return 0
			}
			v := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[1])<<16
			b = b[2:]
			return v
		}
		play(t, min(len(b)/8, 2000), next)
	})
}

// A body behaves like a slice of bytes, whatever is written where.
func TestBodyIsLikeASlice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var spare spareChunks
		var b body
		var model []byte
		for range 60 {
			at, n := r.IntN(3*chunkSize), r.IntN(2*chunkSize)
			if r.IntN(2) == 0 {
				at, n = r.IntN(2000), r.IntN(600)
			}
			switch r.IntN(3) {
			case 0:
				text := bytes.Repeat([]byte{byte(1 + r.IntN(255))}, n)
				if n > 0 && at+n > len(model) {
					model = append(model, make([]byte, at+n-len(model))...)
				}
				if n > 0 {
					copy(model[at:], text)
				}
				b.writeAt(text, uint64(at), &spare)
			case 1:
				if at <= len(model) {
					model = model[:at:at]
				} else {
					model = append(model, make([]byte, at-len(model))...)
				}
				b.resize(uint64(at), &spare)
			case 2:
				got := bytes.Repeat([]byte{0xee}, n)
				got = got[:b.readAt(got, uint64(at))]
				want := model[min(at, len(model)):min(at+n, len(model))]
				if !bytes.Equal(got, want) {
					t.Fatalf("reading %d bytes at %d of %d: %d bytes that differ from the %d expected", n, at, len(model), len(got), len(want))
				}
			}
		}
		var whole bytes.Buffer
		if _, err := b.writeTo(&whole); err != nil || !bytes.Equal(whole.Bytes(), model) {
			t.Fatalf("the whole body of %d bytes differs, error %v", len(model), err)
		}
	}
}
