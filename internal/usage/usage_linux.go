package usage

import (
	"fmt"
	"os"
)

// Of reads what a process uses. It fails where the process has ended, and
// on systems that do not say.
func Of(pid int) (Usage, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	return parseUsage(string(b), os.Getpagesize())
}

// Now reads how this machine has spent its time. It fails on systems
// that do not say.
func Now() (Machine, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Machine{}, fmt.Errorf("%w: %w", errNotThere, err)
	}
	return parseMachine(string(b))
}
