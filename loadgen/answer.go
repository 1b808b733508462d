package loadgen

import (
	"encoding/hex"

	"github.com/sheafgrid/sheaf/task"
)

// answerSize is the bytes of every output.
const answerSize = 2 * len(task.Digest{})

// answerWork is the counted work that every report claims, in instructions.
const answerWork = 5_000_000

// Answer is what a simulated host writes to standard output for a task with a
// checksum: the same on every host, and another one for every task.
func Answer(sum task.Digest) [answerSize]byte {
	var out [answerSize]byte
	inner := task.Sum(sum[:])
	hex.Encode(out[:], inner[:])
	return out
}

// answerList is the list of outputs of a task with a checksum: Answer alone.
func answerList(sum task.Digest) task.OutputList {
	out := Answer(sum)
	return task.OutputList{{Name: task.OutputStdout, Size: int64(len(out)), Digest: task.Sum(out[:])}}
}
