package plan

import (
	"fmt"
	"time"
)

// Code is a reason for programs. Codes are never reused.
type Code string

// The codes: of the machine as a whole, of one attempt, or of both.
const (
	CodeComputing  Code = "computing"   // tasks run, or this one does
	CodePaused     Code = "paused"      // by the owner
	CodeFinishing  Code = "finishing"   // by the owner: no further work is asked for
	CodeFinished   Code = "finished"    // finishing, and nothing is left
	CodeNoCores    Code = "no_cores"    // the owner offers none
	CodeNoMemory   Code = "no_memory"   // the owner offers none
	CodeNoProject  Code = "no_project"  // the owner allows none
	CodeUnknown    Code = "unknown"     // what a rule needs is not known
	CodeTrouble    Code = "trouble"     // tasks would fail here now
	CodeNoContact  Code = "no_contact"  // no coordinator answers
	CodeCalling    Code = "calling"     // a coordinator is being asked
	CodeNoWork     Code = "no_work"     // a coordinator gave none, and said why
	CodePreparing  Code = "preparing"   // programs or inputs are on their way
	CodeWaiting    Code = "waiting"     // for a core, or for its turn to be fetched
	CodeRetry      Code = "retry"       // after a failure, for its next try
	CodeStopping   Code = "stopping"    // being stopped
	CodeNotAllowed Code = "not_allowed" // its project is not allowed
	CodeMemory     Code = "memory"      // it needs more than is offered
	CodeCancelled  Code = "cancelled"   // nobody waits for it
	CodeExpired    Code = "expired"     // its deadline passed before it began
	CodeTooMany    Code = "too_many"    // more run than are allowed now
	CodeUploading  Code = "uploading"   // its output is on its way
	CodeReporting  Code = "reporting"   // its result waits to be acknowledged
	CodeWanted     Code = "wanted"      // there is room for further tasks
	CodeDue        Code = "due"         // a coordinator asked to be called
)

// Reason says why something is as it is, or why something is done.
type Reason struct {
	Code Code
	Text string // a whole sentence, for people
}

func because(code Code, format string, args ...any) Reason {
	return Reason{Code: code, Text: fmt.Sprintf(format, args...)}
}

// span is a duration as people say it, never 0.
func span(d time.Duration) string {
	if d > 90*time.Second {
		return fmt.Sprintf("%d minutes", (d+30*time.Second)/time.Minute)
	}
	if n := (d + time.Second - 1) / time.Second; n > 1 {
		return fmt.Sprintf("%d seconds", n)
	}
	return "a second"
}

// bytesText is a size as people say it.
func bytesText(n uint64) string {
	const mib = 1 << 20
	if n < mib {
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	}
	if n < 1024*mib {
		return fmt.Sprintf("%d MiB", (n+mib-1)/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1024*mib))
}
