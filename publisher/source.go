package publisher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// ErrAnswer is wrapped by the error about a coordinator's answer that cannot
// be right: it contradicts itself, or a digest.
var ErrAnswer = errors.New("the coordinator's answer cannot be right")

// Source is where Fetch gets a job from. It tries again by itself what may
// succeed later; an error of it ends the fetch. Nothing that it answers is
// believed before it was checked. Its methods are called from several
// goroutines at once.
type Source interface {
	// Cluster names the cluster that answers.
	Cluster(ctx context.Context) (task.ClusterID, error)

	// Job is GET /v1/jobs/{id}.
	Job(ctx context.Context, job task.JobID) (protocol.JobView, error)

	// Spec returns a job's specification as it was submitted, of
	// protocol.MaxSpec bytes at most.
	Spec(ctx context.Context, job task.JobID) ([]byte, error)

	// Results returns released results of a level from a task's number on, at
	// most limit of them.
	Results(ctx context.Context, job task.JobID, level uint8, from uint64, limit int) (protocol.ResultPage, error)

	// Output returns the bytes of one output of a released task, by its place
	// in the result's list of files. The caller closes it.
	Output(ctx context.Context, job task.JobID, level uint8, index uint64, file int) (io.ReadCloser, error)
}

func wrongAnswer(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrAnswer, fmt.Sprintf(format, args...))
}

// stateDone is the state of a job of which everything is released.
const stateDone = "done"

// maxNote bounds text from a coordinator that is kept for people, in bytes.
const maxNote = 1024

// cleanText makes text from a coordinator fit to be shown and kept.
func cleanText(s string) string {
	if len(s) > maxNote {
		s = s[:maxNote]
	}
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return utf8.RuneError
		}
		return c
	}, s)
}

// checkView refuses a job's view that does not fit what was asked for, or the
// job's specification.
func checkView(view *protocol.JobView, job task.JobID, spec *task.JobSpec) error {
	if view.Job != job {
		return wrongAnswer("asked for job %s, it describes job %s", job, view.Job)
	}
	if err := task.CheckHandle(view.Project); err != nil {
		return wrongAnswer("the job's project: %v", err)
	}
	if len(view.Levels) > int(spec.Levels()) || view.AllLevels != spec.Levels() {
		return wrongAnswer("job %s has %d levels, it says %d of %d", job, spec.Levels(), len(view.Levels), view.AllLevels)
	}
	for i, l := range view.Levels {
		if int(l.Level) != i || l.Tasks != spec.Count(l.Level) {
			return wrongAnswer("level %d of job %s has %d tasks, it says %d of level %d", i, job, spec.Count(uint8(i)), l.Tasks, l.Level)
		}
	}
	return nil
}
