//go:build !linux

package usage

// Of fails: this system does not say what another process uses.
func Of(int) (Usage, error) { return Usage{}, errNotThere }

// Now fails: this system does not say whether it is a guest.
func Now() (Machine, error) { return Machine{}, errNotThere }
