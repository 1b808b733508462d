package loadgen

import (
	"fmt"
	"os"
)

// UsageOf reads what a process uses. It fails where the process has ended, and
// on systems that do not say.
func UsageOf(pid int) (Usage, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	return parseUsage(string(b), os.Getpagesize())
}

// MachineNow reads how this machine has spent its time. It fails on systems
// that do not say.
func MachineNow() (Machine, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Machine{}, fmt.Errorf("%w: %w", errNotThere, err)
	}
	return parseMachine(string(b))
}
