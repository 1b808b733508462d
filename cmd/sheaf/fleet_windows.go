//go:build windows

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// detach gives a process a group of its own, so that Ctrl-C ends the program
// that started it, which then ends the others in order.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// interrupt ends a process: Windows has no kinder way across consoles.
func interrupt(p *os.Process) { _ = p.Kill() } // it may have ended

// yield does nothing here.
func yield(*os.Process) {}
