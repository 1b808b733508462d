package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// How much of a child's standard error an error quotes, in bytes: of its
// beginning, and of its end.
const (
	stderrFirst = 1 << 10
	stderrTail  = 7 << 10
)

// process is a running child: what its parent can do with it.
type process struct {
	requests *os.File // its standard input
	replies  *os.File // its standard output
	stderr   tail

	cmd    *exec.Cmd
	mu     sync.Mutex
	waited bool          // its number may belong to another process by now
	done   chan struct{} // closed when it is gone
}

// startProcess runs a command as a child that is limited from its birth.
func startProcess(command []string) (*process, error) {
	if len(command) == 0 {
		return nil, errors.New("sandbox: no command to run itself with")
	}
	stdin, requests, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	widen(requests)
	replies, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close(), requests.Close())
	}
	p := &process{requests: requests, replies: replies, done: make(chan struct{})}
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = []string{} // on Windows os/exec adds what every process needs
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, &p.stderr
	p.cmd.WaitDelay = time.Second
	prepare(p.cmd)
	started := make(chan error, 1)
	go p.run(started)
	err = <-started
	err = errors.Join(err, stdin.Close(), stdout.Close())
	if err != nil {
		p.end()
		return nil, fmt.Errorf("starting the sandbox process: %w", err)
	}
	return p, nil
}

// run starts the child and waits for its end, on one thread: Linux ends the
// child when the thread that started it ends, and Go may end any other thread.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // ProcessState says how it ended
		p.mu.Lock()
		p.waited = true
		p.mu.Unlock()
	}
}

// kill ends the child and unblocks whoever reads from it or writes to it.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waited && p.cmd.Process != nil {
		_ = killGroup(p.cmd.Process) // it may be dead already
	}
	_ = p.replies.Close()
	_ = p.requests.Close()
}

// end kills the child if need be and returns when it is gone.
func (p *process) end() {
	p.kill()
	<-p.done
}

// state says how a child that is gone ended, with the end of what it wrote to
// standard error.
func (p *process) state() string {
	text := p.cmd.ProcessState.String()
	if said := p.stderr.text(); said != "" {
		text += "; it said: " + said
	}
	return text
}

// cpu is the processor time that a child that is gone took.
func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// tail keeps the beginning and the end of what is written to it: a Go program
// that crashes says why in its first line, and where in its last.
type tail struct {
	mu    sync.Mutex
	first []byte // up to stderrFirst bytes
	last  []byte // up to stderrTail bytes behind them
	cut   bool   // something between them is missing
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(b), stderrFirst-len(t.first))
	t.first = append(t.first, b[:n]...)
	t.last = append(t.last, b[n:]...)
	if over := len(t.last) - stderrTail; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
		t.cut = true
	}
	return len(b), nil
}

// text is what was kept, fit to be shown.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	between := ""
	if t.cut {
		between = "\n...\n"
	}
	return strings.TrimSpace(cleanText(string(t.first) + between + string(t.last)))
}
