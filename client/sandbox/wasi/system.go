package wasi

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/sheafgrid/sheaf/task"
)

// ErrBadInput is wrapped by New's errors: an input cannot be laid out as a
// file under /in.
var ErrBadInput = errors.New("input cannot be laid out")

// Input is a file that the program finds at /in/Path.
type Input struct {
	Path    string
	Content []byte // not copied, never written to

	// Await, where it is not nil, is called before bytes from ≤ i < to of
	// Content are read, and returns when they are there: a program never meets
	// one that is missing.
	Await func(from, to uint64)
}

// Config is everything that a program can observe.
type Config struct {
	Args   []string // what follows argv[0], which is always "app"
	Inputs []Input
	Output uint64 // bytes that the streams and the files under /out may hold together
	Seed   uint64 // of random_get
}

// System is what one run of a program sees and leaves behind.
type System struct {
	args    []string
	clock   clock
	random  *rand.ChaCha8
	limit   uint64
	used    uint64 // bytes held by streams and by files under /out, open but unlinked ones included
	files   int    // names of files under /out
	folders int    // names of folders under /out
	in, out *node
	stdout  body
	stderr  body
	open    []*descriptor // by number; nil: free
	spare   spareChunks
	windows [][]byte // scratch of reads and writes
	iovecs  []byte   // scratch of reads and writes
}

// New lays out what the program will see. Its errors wrap ErrBadInput.
func New(c Config) (*System, error) {
	s := &System{
		args:   append([]string{"app"}, c.Args...),
		clock:  clock{now: epoch},
		random: newRandom(c.Seed),
		limit:  c.Output,
		in:     newFolder("/in", nil),
		out:    newFolder("/out", nil),
	}
	s.out.writable = true
	entries := 0
	for _, in := range c.Inputs {
		if err := s.in.addInput(in, &entries); err != nil {
			return nil, err
		}
	}
	s.open = []*descriptor{
		{stream: streamIn, readable: true},
		{stream: streamOut, body: &s.stdout, writable: true},
		{stream: streamOut, body: &s.stderr, writable: true},
		{node: s.in, preopened: true},
		{node: s.out, preopened: true},
	}
	return s, nil
}

// Stop ends a program in the middle of a call.
type Stop struct {
	Exit task.Exit
}

// Error says how the program ended.
func (s *Stop) Error() string { return fmt.Sprintf("program stopped: %s", s.Exit) }

func stop(e task.Exit) error { return &Stop{Exit: e} }

// charge accounts for n bytes more. It stops the program where they would
// exceed its limit, before they exist.
func (s *System) charge(n uint64) error {
	if n > s.limit-s.used {
		return stop(task.ExitOutputLimit)
	}
	s.used += n
	return nil
}

// Output is something that the program left: a stream that is not empty, or a
// file under /out.
type Output struct {
	Name string // as task.OutputFile names it
	Size int64  // bytes

	body *body
}

// WriteTo writes the output's bytes to w.
func (o Output) WriteTo(w io.Writer) (int64, error) { return o.body.writeTo(w) }

// Outputs lists what the program left, in the order of the names. It is for
// after the program's end.
func (s *System) Outputs() []Output {
	list := s.out.outputs(nil, task.OutputDir)
	for _, stream := range []Output{{Name: task.OutputStderr, body: &s.stderr}, {Name: task.OutputStdout, body: &s.stdout}} {
		if stream.body.size > 0 {
			list = append(list, stream)
		}
	}
	for i := range list {
		list[i].Size = int64(list[i].body.size)
	}
	return list
}

// Stderr returns the first n bytes of standard error, or as many as there are.
func (s *System) Stderr(n int) []byte {
	b := make([]byte, n)
	return b[:s.stderr.readAt(b, 0)]
}
