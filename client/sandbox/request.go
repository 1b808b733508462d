package sandbox

import (
	"context"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/client/sandbox/wasi"
	"github.com/sheafgrid/sheaf/task"
)

// Bounds of a request.
const (
	// MaxModule is the most bytes a module may have.
	MaxModule = 32 << 20
	// MaxInputs is the most files that a program may find under /in.
	MaxInputs = 1 << 16
	// MaxInputBytes is the most bytes that they may have together: they lie in
	// the child's memory while the program runs.
	MaxInputBytes = int64(2) << 30
)

// maxPathBytes bounds the paths of all inputs together.
const maxPathBytes = 4 << 20

// Request is one run of a program.
type Request struct {
	Module []byte // as its publisher made it
	Meter  uint16 // version of the function that counts work
	Args   []string
	Inputs []InputFile
	Limits task.Limits // Deadline is not looked at
	Seed   uint64

	// Output, where it is not nil, is asked for a writer for each output
	// before its bytes arrive, in the order of the names; Run then keeps no
	// contents. What was written counts only once Run has returned without an
	// error. An error of Output or of a writer ends the attempt.
	Output func(name string, size int64) (io.Writer, error)
}

// InputFile is a file that the program finds at /in/Path. Its Content is read
// once, from its beginning to Size, before the program begins. When an attempt
// is cancelled, one read may still be under way after Run has returned.
type InputFile struct {
	Path    string
	Size    int64 // bytes
	Content io.ReaderAt

	// Piece, where it is not nil, takes Content's place. It is called when the
	// program first reads a byte of piece n, which is b's length from
	// n·task.PieceSize on, and fills b. The program stands still meanwhile, and
	// its limit on time with it, so it may wait for a network. It is called
	// once for each piece, one piece at a time, never after Run has returned,
	// and must return when ctx ends. Its error ends the attempt as ErrInput:
	// the program hears of none.
	Piece func(ctx context.Context, n int64, b []byte) error

	inPieces bool // in the child: it is read in pieces
}

// pieced reports whether the file is read in pieces.
func (f *InputFile) pieced() bool { return f.Piece != nil || f.inPieces }

// piece is where piece n of the file begins, and how many bytes it has.
func (f *InputFile) piece(n int64) (from, size int64) {
	from = n * task.PieceSize
	return from, min(task.PieceSize, f.Size-from)
}

// check refuses what breaks a bound. The paths are checked where the files are
// laid out.
func (r *Request) check() error {
	if len(r.Module) > MaxModule {
		return badRequest("the program has %d bytes, at most %d are allowed", len(r.Module), MaxModule)
	}
	if err := checkLimits(r.Limits); err != nil {
		return err
	}
	if len(r.Args) > task.MaxArgs {
		return badRequest("%d arguments, at most %d are allowed", len(r.Args), task.MaxArgs)
	}
	n := 0
	for _, a := range r.Args {
		n += len(a)
	}
	if n > task.MaxArgBytes {
		return badRequest("%d bytes of arguments, at most %d are allowed", n, task.MaxArgBytes)
	}
	return checkInputs(r.Inputs)
}

func checkLimits(l task.Limits) error {
	switch {
	case l.Work == 0 || l.Work > task.MaxWork:
		return badRequest("a limit of %d instructions, allowed are 1 to %d", l.Work, task.MaxWork)
	case l.Memory == 0 || l.Memory > task.MaxMemory || l.Memory%task.WasmPage != 0:
		return badRequest("a limit of %d bytes of memory, allowed are multiples of 64 KiB up to 4 GiB", l.Memory)
	case l.Output > task.MaxOutput:
		return badRequest("a limit of %d bytes of output, at most %d are allowed", l.Output, task.MaxOutput)
	case l.Wall <= 0 || l.Wall > task.MaxDeadline:
		return badRequest("a limit of %d ms of time, allowed are up to 30 days", l.Wall)
	}
	return nil
}

func checkInputs(inputs []InputFile) error {
	if len(inputs) > MaxInputs {
		return badRequest("%d inputs, at most %d are allowed", len(inputs), MaxInputs)
	}
	size, paths := int64(0), 0
	for _, in := range inputs {
		if in.Size < 0 || in.Size > MaxInputBytes-size {
			return badRequest("input %.80q of %d bytes: all inputs together may have at most %d", in.Path, in.Size, MaxInputBytes)
		}
		size += in.Size
		paths += len(in.Path)
	}
	if paths > maxPathBytes {
		return badRequest("%d bytes of input paths, at most %d are allowed", paths, maxPathBytes)
	}
	return nil
}

func badRequest(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadRequest, fmt.Sprintf(format, args...))
}

// inputBytes is the size of all inputs together.
func (r *Request) inputBytes() uint64 {
	n := uint64(0)
	for _, in := range r.Inputs {
		n += uint64(in.Size)
	}
	return n
}

// config is what the program will see, given its inputs' contents, which may
// come in pieces.
func (r *Request) config(contents [][]byte, pieces *supply) wasi.Config {
	c := wasi.Config{Args: r.Args, Output: r.Limits.Output, Seed: r.Seed}
	for i := range r.Inputs {
		in := wasi.Input{Path: r.Inputs[i].Path, Content: contents[i]}
		if r.Inputs[i].pieced() {
			in.Await = pieces.await(i, &r.Inputs[i], contents[i])
		}
		c.Inputs = append(c.Inputs, in)
	}
	return c
}

// Address space that a child process takes beside what the program and its
// files hold. Measured: 70 MiB for a module of 50 KiB and 26 times its size
// for a larger one; the engine's own stack grows by doubling up to 84 MiB,
// and leaves the smaller ones behind.
const (
	processMemory   = 512 << 20
	memoryPerModule = 64 // bytes for each byte of the module
	memoryPerInput  = 1 << 10
)

// memoryNeed is how much address space the child process may take for a
// request. It is a second wall: a program meets its own limits before.
func memoryNeed(r *Request, moduleSize int) uint64 {
	const slack = 2 // files are held in whole chunks
	return r.Limits.Memory + r.inputBytes() + slack*r.Limits.Output + memoryPerInput*uint64(len(r.Inputs)) +
		memoryPerModule*uint64(moduleSize) + processMemory + detectorMemory
}
