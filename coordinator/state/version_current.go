//go:build !sheafnext

package state

// Newest is the newest version of a cluster that this program knows. A command
// that is not known to version 1 gets the next number, in nextCommand, and its
// own file.
const Newest uint16 = 1

// nextCommand is an empty command of a kind that came after version 1, and the
// version it came with; nil and 0 if there is none.
func nextCommand(uint16) (Command, uint16) { return nil, 0 }

// applyNext carries out such a command.
func (s *State) applyNext(Command) (Result, bool) { return Result{}, false }

// Greeting is what a leader proposes right after it has raised the cluster to a
// version, where that has something to begin with; nil otherwise.
func Greeting(uint16) Command { return nil }
