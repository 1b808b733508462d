package sandbox

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sheafgrid/sheaf/client/sandbox/wasi"
	"github.com/sheafgrid/sheaf/task"
)

// interval is how often the child gives a sign of life.
const interval = time.Second

// ChildMain is the child's side: the command that Runner.Command names calls
// it with its standard input and output and exits with what it returns. The
// process must be there for nothing else: ChildMain limits all of it, for
// good.
func ChildMain(stdin io.Reader, stdout io.Writer) int {
	replies := &replies{w: stdout}
	err := serve(context.Background(), stdin, replies)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	if err := replies.send(frameFailure, encodeFailure(err)); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox: cannot tell:", err)
	}
	return 1
}

// replies is the child's way to its parent, shared by the heartbeat.
type replies struct {
	mu   sync.Mutex
	w    io.Writer
	done bool // no further sign of life: the answer has begun
}

func (r *replies) send(k frameKind, frame []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch k {
	case frameProgress:
		if r.done {
			return nil
		}
	case frameNeed:
	default:
		r.done = true
	}
	return writeFrame(r.w, k, frame)
}

// serve answers one request.
func serve(ctx context.Context, stdin io.Reader, replies *replies) error {
	// One thread for the program, one for the heartbeat and the watcher: the
	// program's never comes back to the scheduler while it computes.
	runtime.GOMAXPROCS(2)
	if err := confine(); err != nil {
		return fmt.Errorf("%w: this process cannot be confined: %w", ErrEngine, err)
	}
	r, engine, inputs, err := receive(stdin)
	if err != nil {
		return err
	}
	life, pieces := &heartbeat{replies: replies}, newSupply(replies)
	go pieces.run(stdin)
	go life.run()
	o, outputs, err := execute(ctx, r, engine, inputs, pieces, life)
	if err != nil {
		return err
	}
	if err := replies.send(frameOutcome, encodeOutcome(&o)); err != nil {
		return err
	}
	contents := contentWriter{replies, newFrame(int(maxFrame(frameContent)))}
	for _, out := range outputs {
		if _, err := out.WriteTo(contents); err != nil {
			return err
		}
	}
	return nil
}

// receive reads the request, limits the process to the memory that it may
// take, and only then reads the module and the inputs.
func receive(stdin io.Reader) (Request, Engine, [][]byte, error) {
	var buffer []byte
	kind, payload, err := readFrame(stdin, &buffer)
	if err == nil && kind != frameRequest {
		err = fmt.Errorf("a frame %q came", byte(kind))
	}
	if err != nil {
		return Request{}, 0, nil, fmt.Errorf("%w: no request came: %w", ErrEngine, err)
	}
	r, engine, moduleSize, err := decodeRequest(payload)
	if err != nil {
		return Request{}, 0, nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if err := limitMemory(memoryNeed(&r, moduleSize)); err != nil {
		return Request{}, 0, nil, fmt.Errorf("%w: memory cannot be limited: %w", ErrEngine, err)
	}
	r.Module = make([]byte, moduleSize)
	_, err = io.ReadFull(stdin, r.Module)
	contents := make([][]byte, len(r.Inputs))
	for i := 0; i < len(contents) && err == nil; i++ {
		contents[i] = make([]byte, r.Inputs[i].Size) // of what is never touched the system gives no pages
		if r.Inputs[i].pieced() {
			continue
		}
		_, err = io.ReadFull(stdin, contents[i])
	}
	if err != nil {
		return Request{}, 0, nil, fmt.Errorf("%w: request cut short: %w", ErrEngine, err)
	}
	return r, engine, contents, nil
}

// execute does what the request asks for.
func execute(ctx context.Context, r Request, e Engine, contents [][]byte, pieces *supply, life *heartbeat) (Outcome, []wasi.Output, error) {
	system, err := wasi.New(r.config(contents, pieces))
	if err != nil {
		return Outcome{}, nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	module, err := instrument(r.Module, r.Meter, r.Limits)
	if err != nil {
		return Outcome{}, nil, err
	}
	r.Module = nil
	p := &program{module: module, limits: r.Limits, system: system, work: &life.work, begins: life.beat}
	end, err := p.run(ctx, e)
	if err != nil {
		return Outcome{}, nil, err
	}
	o := Outcome{Exit: end.exit, Work: end.work, Diagnostic: string(system.Stderr(maxDiagnostic))}
	if end.exit.Trap() {
		return o, nil, nil
	}
	outputs := system.Outputs()
	for _, out := range outputs {
		o.Outputs = append(o.Outputs, task.OutputFile{Name: out.Name, Size: out.Size})
	}
	return o, outputs, nil
}

// contentWriter sends what is written as frames of content.
type contentWriter struct {
	replies *replies
	frame   []byte // room for one frame
}

// Write sends b; package wasi never writes more than one frame takes.
func (c contentWriter) Write(b []byte) (int, error) {
	if err := c.replies.send(frameContent, append(c.frame, b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// heartbeat gives signs of life: one when the program begins, and one each
// second until the process ends.
type heartbeat struct {
	replies *replies
	work    atomic.Uint64 // the program's count, as of its last call

	mu    sync.Mutex
	frame [frameHead + 16]byte
}

func (h *heartbeat) run() {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for range ticker.C {
		h.beat()
	}
}

// beat gives one sign of life. It leaves no garbage: while a compiled program
// computes, nobody collects it (callGate).
func (h *heartbeat) beat() {
	h.mu.Lock()
	defer h.mu.Unlock()
	fillProgress(h.frame[:], Progress{CPU: cpuTime(), Work: h.work.Load()})
	if h.replies.send(frameProgress, h.frame[:]) != nil {
		os.Exit(1) // nobody listens any more
	}
}
