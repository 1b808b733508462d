//go:build !linux

package timerslack

// Widen does nothing here.
func Widen() {}
