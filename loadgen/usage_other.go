//go:build !linux

package loadgen

// UsageOf fails: this system does not say what another process uses.
func UsageOf(int) (Usage, error) { return Usage{}, errNotThere }

// MachineNow fails: this system does not say whether it is a guest.
func MachineNow() (Machine, error) { return Machine{}, errNotThere }
