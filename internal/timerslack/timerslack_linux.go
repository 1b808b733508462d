package timerslack

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// system is the slack of a process that nobody gave another one, and wide the one
// that Widen gives, in nanoseconds. Timers here are of a millisecond and more.
const (
	system = 50_000
	wide   = 500_000
)

// Widen lets every timer of this process, and of those it starts, be late by up to
// 0.5 ms. It is called first in main: where the system's slack is in force the
// process is started again, with the same number, arguments and open files. A slack
// that somebody chose stays, and where it cannot be changed nothing happens: the
// process only wakes more often.
func Widen() {
	if current() != system {
		return
	}
	self, err := os.Executable()
	if err != nil {
		return
	}
	runtime.LockOSThread() // a slack is a thread's
	defer runtime.UnlockOSThread()
	if unix.Prctl(unix.PR_SET_TIMERSLACK, wide, 0, 0, 0) != nil || current() != wide {
		return // or the process would be started for ever
	}
	_ = unix.Exec(self, os.Args, os.Environ()) // returns only if it failed
}

func current() int {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return -1
	}
	return slack
}
