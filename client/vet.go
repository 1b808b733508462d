package client

import (
	"errors"
	"fmt"

	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// refusal is why an attempt is not run, and what the report says of it.
type refusal struct {
	failure protocol.Failure
	text    string
}

func (r *refusal) Error() string { return r.text }

func refuse(f protocol.Failure, format string, args ...any) *refusal {
	return &refusal{f, fmt.Sprintf(format, args...)}
}

// vet refuses what must not be run whatever the rules say: a task that is not
// what its checksum says (T1), one that cannot be, and a program that its
// publisher did not sign.
func vet(a *protocol.Attempt) error {
	t := &a.Task
	if sum := t.Sum(); sum != a.Sum {
		return refuse(protocol.FailureProgram, "T1: the task's checksum is %s, the coordinator says %s", sum.Short(), a.Sum.Short())
	}
	if err := vetInputs(t.Inputs); err != nil {
		return refuse(protocol.FailureProgram, "%v", err)
	}
	if err := errors.Join(task.CheckHandle(a.Version.Project), task.CheckHandle(a.Version.App)); err != nil {
		return refuse(protocol.FailureProgram, "%v", err)
	}
	if !a.Version.Verify(t.Program, t.Meter) {
		return refuse(protocol.FailureProgram, "program %s of app %s is not signed by %s, the publisher of project %s",
			t.Program.Short(), a.Version.App, a.Version.Publisher, a.Version.Project)
	}
	return nil
}

// vetInputs refuses what cannot be a part of a blob, and what the sandbox would
// not take, before anything is fetched.
func vetInputs(inputs []task.InputRange) error {
	total := int64(0)
	for _, in := range inputs {
		if in.Offset < 0 || in.Length < 0 || in.Offset > task.MaxInputSize || in.Length > task.MaxInputSize-in.Offset {
			return fmt.Errorf("input %.80q: %d bytes from byte %d cannot be", in.Path, in.Length, in.Offset)
		}
		if !in.Pieces.IsZero() && (in.Offset != 0 || in.Length == 0 || in.Digest != in.Blob) {
			return fmt.Errorf("input %.80q has pieces, and is not a whole blob", in.Path)
		}
		if total += in.Length; total > sandbox.MaxInputBytes {
			return fmt.Errorf("inputs of more than %d bytes", sandbox.MaxInputBytes)
		}
	}
	if len(inputs) > sandbox.MaxInputs {
		return fmt.Errorf("%d inputs, at most %d can be given to a program", len(inputs), sandbox.MaxInputs)
	}
	return nil
}
