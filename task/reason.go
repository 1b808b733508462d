package task

// Reason says why a host got no work, or less than it asked for. It travels
// with every answer, so that nobody has to guess.
type Reason string

// The reasons, each with the sentence that a person reads (Reason.Sentence).
const (
	ReasonNone       Reason = ""            // it got all it asked for
	ReasonNoJobs     Reason = "no_jobs"     // no job is waiting for anybody
	ReasonNotAllowed Reason = "not_allowed" // jobs wait, of projects this host does not allow
	ReasonAllGiven   Reason = "all_given"   // every task that waits is already with this account
	ReasonInFlight   Reason = "in_flight"   // all tasks of the waiting jobs are being computed
	ReasonHostFull   Reason = "host_full"   // the host holds as many attempts as it may
	ReasonMemory     Reason = "memory"      // the tasks that wait need more memory than it offers
	ReasonStarting   Reason = "starting"    // the coordinator has just come up
	ReasonOverloaded Reason = "overloaded"  // the coordinator has more to do than it can
)

// Sentence says the reason, and what would change it, to a person.
func (r Reason) Sentence() string {
	switch r {
	case ReasonNone:
		return "There is work."
	case ReasonNoJobs:
		return "No job is waiting; work comes as soon as somebody submits one."
	case ReasonNotAllowed:
		return "Jobs are waiting, but only of projects that this machine does not allow; allow one of them to help it."
	case ReasonAllGiven:
		return "Every waiting task needs the result of somebody else; one of your machines has computed it already."
	case ReasonInFlight:
		return "All tasks are being computed; there will be work when one is given back or a job is submitted."
	case ReasonHostFull:
		return "This machine holds as many tasks as it may; it gets more when it returns some."
	case ReasonMemory:
		return "The waiting tasks need more memory than this machine offers; raise its memory limit to help."
	case ReasonStarting:
		return "The coordinator has just started; it will have work in a moment."
	case ReasonOverloaded:
		return "The coordinator is busy; the next call comes later."
	}
	return "The coordinator gave a reason that this version does not know: " + clip(string(r)) + "."
}
