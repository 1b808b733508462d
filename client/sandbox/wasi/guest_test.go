package wasi_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/sheafgrid/sheaf/client/sandbox/wasi"
	"github.com/sheafgrid/sheaf/task"
)

// memory is a program's memory without an engine.
type memory []byte

func (m memory) Read(offset, n uint32) ([]byte, bool) {
	if uint64(offset)+uint64(n) > uint64(len(m)) {
		return nil, false
	}
	return m[offset:][:n], true
}

// guest stands for a program: it calls the system from a memory of its own.
type guest struct {
	t         *testing.T
	memory    memory
	system    *wasi.System
	functions map[string]wasi.Function
	used      uint32 // memory that put gave away
}

func newGuest(t *testing.T, c wasi.Config) *guest {
	t.Helper()
	s, err := wasi.New(c)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, memory: make(memory, 256<<10), system: s, functions: map[string]wasi.Function{}}
	for _, f := range wasi.Functions() {
		g.functions[f.Name] = f
	}
	return g
}

// call calls a function and returns its number; the program must not stop.
func (g *guest) call(name string, args ...uint64) wasi.Errno {
	g.t.Helper()
	number, err := g.try(name, args...)
	if err != nil {
		g.t.Fatalf("%s%d: %v", name, args, err)
	}
	return number
}

func (g *guest) try(name string, args ...uint64) (wasi.Errno, error) {
	g.t.Helper()
	f := g.functions[name]
	if len(args) != len(f.Func.Params) {
		g.t.Fatalf("%s takes %d arguments, got %d", name, len(f.Func.Params), len(args))
	}
	return f.Call(g.system, g.memory, args)
}

// want calls a function and compares its number.
func (g *guest) want(number wasi.Errno, name string, args ...uint64) {
	g.t.Helper()
	if got := g.call(name, args...); got != number {
		g.t.Errorf("%s%d: number %d, want %d", name, args, got, number)
	}
}

// wantStop calls a function that must end the program.
func (g *guest) wantStop(exit task.Exit, name string, args ...uint64) {
	g.t.Helper()
	_, err := g.try(name, args...)
	var stop *wasi.Stop
	if !errors.As(err, &stop) || stop.Exit != exit {
		g.t.Errorf("%s%d: error %v, want a stop with %v", name, args, err, exit)
	}
}

// put lays text somewhere into memory.
func (g *guest) put(text string) (p, n uint64) {
	at := g.used
	g.used += uint32(copy(g.memory[at:len(g.memory)/2], text))
	return uint64(at), uint64(len(text))
}

// result is a place in memory for what calls return.
func (g *guest) result() uint64 { return uint64(len(g.memory) - 64) }

func (g *guest) u32() uint32 { return binary.LittleEndian.Uint32(g.memory[g.result():]) }
func (g *guest) u64() uint64 { return binary.LittleEndian.Uint64(g.memory[g.result():]) }

// Rights, ways to open, and descriptors.
const (
	read, write          = 1 << 1, 1 << 6
	create, folder, excl = 1, 2, 4
	truncate             = 8
	in, out              = 3, 4
)

// open opens a path and returns the descriptor.
func (g *guest) open(fd uint64, path string, how, rights uint64) uint64 {
	g.t.Helper()
	p, n := g.put(path)
	g.want(0, "path_open", fd, 0, p, n, how, rights, 0, 0, g.result())
	return uint64(g.u32())
}

// opens tries to open a path and returns the number.
func (g *guest) opens(fd uint64, path string, how, rights uint64) wasi.Errno {
	g.t.Helper()
	p, n := g.put(path)
	return g.call("path_open", fd, 0, p, n, how, rights, 0, 0, g.result())
}

// vector lays out one piece of memory as a list of vectors.
func (g *guest) vector(p, n uint64) uint64 {
	v := g.used
	binary.LittleEndian.PutUint32(g.memory[v:], uint32(p))
	binary.LittleEndian.PutUint32(g.memory[v+4:], uint32(n))
	g.used += 8
	return uint64(v)
}

// write writes text to a descriptor.
func (g *guest) write(fd uint64, text string) {
	g.t.Helper()
	p, n := g.put(text)
	g.want(0, "fd_write", fd, g.vector(p, n), 1, g.result())
	if g.u32() != uint32(n) {
		g.t.Errorf("wrote %d bytes, want %d", g.u32(), n)
	}
}

// read reads up to n bytes from a descriptor.
func (g *guest) read(fd, n uint64) string {
	g.t.Helper()
	const buffer = 130 << 10
	g.want(0, "fd_read", fd, g.vector(buffer, n), 1, g.result())
	return string(g.memory[buffer:][:g.u32()])
}

// make writes a file under /out and closes it.
func (g *guest) make(path, text string) {
	g.t.Helper()
	fd := g.open(out, path, create, write)
	if text != "" {
		g.write(fd, text)
	}
	g.want(0, "fd_close", fd)
}

// path calls a function that takes a folder and a path.
func (g *guest) path(name string, fd uint64, path string) wasi.Errno {
	g.t.Helper()
	p, n := g.put(path)
	return g.call(name, fd, p, n)
}

func (g *guest) rename(from, to string) wasi.Errno {
	g.t.Helper()
	p, n := g.put(from)
	q, m := g.put(to)
	return g.call("path_rename", out, p, n, out, q, m)
}

// outputs are the names and contents that the program left.
func (g *guest) outputs() map[string]string {
	g.t.Helper()
	left := map[string]string{}
	var list task.OutputList
	for _, o := range g.system.Outputs() {
		var b writer
		if n, err := o.WriteTo(&b); err != nil || n != o.Size || int64(len(b)) != n {
			g.t.Errorf("%s: wrote %d bytes of %d, error %v", o.Name, n, o.Size, err)
		}
		left[o.Name] = string(b)
		list = append(list, task.OutputFile{Name: o.Name, Size: o.Size})
	}
	if err := list.Check(); err != nil {
		g.t.Errorf("the list of outputs: %v", err)
	}
	return left
}

type writer []byte

func (w *writer) Write(b []byte) (int, error) {
	*w = append(*w, b...)
	return len(b), nil
}
