package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// prepare sets what a child process gets from its birth: no window, no Ctrl-C
// of the parent's, and the lowest priority.
func prepare(cmd *exec.Cmd) {
	cmd.Dir = filepath.VolumeName(cmd.Path) + `\`
	cmd.SysProcAttr = &syscall.SysProcAttr{
		HideWindow:    true,
		CreationFlags: windows.CREATE_NO_WINDOW | windows.CREATE_NEW_PROCESS_GROUP | windows.IDLE_PRIORITY_CLASS,
	}
}

// widen leaves a pipe as the system makes it.
func widen(*os.File) {}

// killGroup kills a child process. Its job (confine) lets it start no other.
func killGroup(p *os.Process) error { return p.Kill() }

// confine takes from this process, for good, what a sandbox never needs. It is
// the one place where the operating system's own walls go up.
func confine() error {
	return enterJob(windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{
			LimitFlags: windows.JOB_OBJECT_LIMIT_ACTIVE_PROCESS | windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE |
				windows.JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION,
			ActiveProcessLimit: 1,
		},
	})
}

// limitMemory bounds the memory that this process may commit, to n bytes and
// what the Go runtime had before.
func limitMemory(n uint64) error {
	return enterJob(windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_PROCESS_MEMORY},
		ProcessMemoryLimit:    uintptr(n + runtimeCommit),
	})
}

// runtimeCommit is more than a Go process commits before it does anything.
const runtimeCommit = 64 << 20

// enterJob puts this process into a new job with limits, inside of those it is
// in already. Only this process holds the job, so it ends with the process.
func enterJob(limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION) error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		return fmt.Errorf("job's limits: %w", err)
	}
	if err := windows.AssignProcessToJobObject(job, windows.CurrentProcess()); err != nil {
		return fmt.Errorf("entering a job: %w", err)
	}
	return nil
}

// cpuTime is the processor time that this process has taken.
func cpuTime() time.Duration {
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user) != nil {
		return 0
	}
	return ticks(kernel) + ticks(user)
}

// ticks reads a duration in units of 100 ns.
func ticks(f windows.Filetime) time.Duration {
	return time.Duration(uint64(f.HighDateTime)<<32|uint64(f.LowDateTime)) * 100
}
