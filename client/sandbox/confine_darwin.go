package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// prepare sets what a child process gets from its birth: a session of its own.
func prepare(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}

// widen leaves a pipe as the system makes it.
func widen(*os.File) {}

// killGroup kills a child process and whatever it may have started. The
// process must not have been waited for.
func killGroup(p *os.Process) error {
	err := syscall.Kill(-p.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EPERM) { // macOS says EPERM of a zombie
		err = nil
	}
	return errors.Join(p.Kill(), err)
}

// confine takes from this process, for good, what a sandbox never needs. It is
// the one place where the operating system's own walls go up.
func confine() error {
	for _, limit := range []struct {
		what  int
		value uint64
	}{
		{unix.RLIMIT_CORE, 0},    // a core file would be the program's memory, on the volunteer's disk
		{unix.RLIMIT_FSIZE, 0},   // not one byte to any file
		{unix.RLIMIT_NOFILE, 16}, // its pipes, and what the Go runtime polls with
	} {
		if err := unix.Setrlimit(limit.what, &unix.Rlimit{Cur: limit.value, Max: limit.value}); err != nil {
			return fmt.Errorf("resource limit %d: %w", limit.what, err)
		}
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19) // courtesy, not a wall
	return nil
}

// limitMemory does nothing: macOS does not hold processes to RLIMIT_AS. The
// program's memory has its limit in the engine.
func limitMemory(uint64) error { return nil }

// cpuTime is the processor time that this process has taken.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
