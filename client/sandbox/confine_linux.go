package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sheafgrid/sheaf/task"
)

// prepare sets what a child process gets from its birth: a session of its own,
// and a signal that ends it when the thread that started it is gone.
func prepare(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// widen lets a pipe hold a piece of an input: the child, which runs when nothing
// else wants to, is then woken once or twice for each, not sixteen times. Where the
// system gives no more room, it goes on with what it has.
func widen(pipe *os.File) {
	if c, err := pipe.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, task.PieceSize) })
	}
}

// killGroup kills a child process and whatever it may have started. The
// process must not have been waited for.
func killGroup(p *os.Process) error {
	return errors.Join(p.Kill(), ignore(syscall.Kill(-p.Pid, syscall.SIGKILL), syscall.ESRCH))
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
	if err := filterCalls(); err != nil {
		return err
	}
	// What follows is courtesy to the machine's owner; without it the walls
	// still stand.
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, 19)
	if f, err := os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY, 0); err == nil {
		_, _ = f.WriteString("1000") // the first to go when memory runs out
		_ = f.Close()
	}
	return nil
}

// filterCalls takes from all threads of this process, and whatever it may
// start, the way to gain privileges, and puts them under one filter of system
// calls. The filter allows every call: it is there because it is what reaches
// the threads that the Go runtime has already.
func filterCalls() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	filter := unix.SockFprog{Len: 1, Filter: &allow}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return fmt.Errorf("filter of system calls: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("filter of system calls: thread %d stays outside", thread)
	}
	return nil
}

// limitMemory bounds the address space of this process to what it has now,
// most of which the Go runtime only reserves, and n bytes more. A lower limit
// that was there before stays.
func limitMemory(n uint64) error {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	var pages uint64
	if _, err := fmt.Sscan(string(text), &pages); err != nil {
		return fmt.Errorf("/proc/self/statm: %w", err)
	}
	var had unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &had); err != nil {
		return err
	}
	n = min(n+pages*uint64(os.Getpagesize()), had.Max)
	return unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: n, Max: n})
}

// cpuTime is the processor time that this process has taken.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}
