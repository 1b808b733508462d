//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// detach gives a process a session of its own, so that Ctrl-C ends the program
// that started it, which then ends the others in order.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// interrupt asks a process to end.
func interrupt(p *os.Process) { _ = p.Signal(syscall.SIGTERM) } // it may have ended

// yield lets a process, which was detached, have only the processors that
// nobody else wants.
func yield(p *os.Process) { _ = syscall.Setpriority(syscall.PRIO_PGRP, p.Pid, 19) } // as it is, otherwise
