package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// Rules are what a machine's owner allows. The zero value allows nothing.
type Rules struct {
	Paused    bool     // nothing runs and nothing is asked for; finished results are still delivered
	Finishing bool     // what was accepted is finished, nothing further is asked for
	Cores     int      // tasks at once
	Memory    uint64   // bytes that one task may take
	AllowAll  bool     // every project, those to come included
	Allow     []string // projects by name
}

// Allows reports whether the owner allows a project.
func (r *Rules) Allows(project string) bool {
	return project != "" && (r.AllowAll || slices.Contains(r.Allow, project))
}

// Validate refuses rules that cannot be meant, as a sentence for their owner.
func (r *Rules) Validate() error {
	if r.Cores < 0 || r.Cores > maxCores {
		return fmt.Errorf("cores: %d tasks at once, allowed are 0 to %d", r.Cores, maxCores)
	}
	for _, p := range r.Allow {
		if err := task.CheckHandle(p); err != nil {
			return fmt.Errorf("allowed projects: %w", err)
		}
	}
	if len(r.Allow) > maxAllowed {
		return fmt.Errorf("allowed projects: %d names, at most %d; allow all of them instead", len(r.Allow), maxAllowed)
	}
	return nil
}

const (
	maxCores   = 4096
	maxAllowed = 1024 // what coordinators accept
)

// Machine is what is known of the machine now. The zero value knows nothing,
// and then nothing runs.
type Machine struct {
	Cores int // processors that this process may use; 0: not known

	// Trouble says, in a sentence, why tasks would fail here now (a full disk,
	// a sandbox that does not start), until a time. Nothing is begun or asked
	// for meanwhile. Empty: none is known.
	Trouble      string
	TroubleUntil time.Time
}

// cores is how many tasks may run at once, and why none may begin. In trouble
// what runs may go on.
func (r *Rules) cores(m *Machine, now time.Time) (int, Reason) {
	n := min(r.Cores, m.Cores)
	switch {
	case r.Paused:
		return 0, because(CodePaused, "It is paused; nothing runs until it is resumed.")
	case r.Cores <= 0:
		return 0, because(CodeNoCores, "No cores are offered; raise the number of cores to compute.")
	case m.Cores <= 0:
		return 0, because(CodeUnknown, "How many processors this machine has is not known, so nothing is started.")
	case r.Memory == 0:
		return 0, because(CodeNoMemory, "No memory is offered to tasks; raise the limit on memory to compute.")
	case !r.AllowAll && len(r.Allow) == 0:
		return 0, because(CodeNoProject, "No project is allowed; allow one, or all, to compute.")
	case m.Trouble != "" && now.Before(m.TroubleUntil):
		return n, because(CodeTrouble, "%s It tries again in %s.", m.Trouble, span(m.TroubleUntil.Sub(now)))
	}
	return n, Reason{}
}

// refuses says why a task must not run here, whatever the machine does, or
// nothing.
func (r *Rules) refuses(a *Attempt) (Reason, bool) {
	switch {
	case a.Project == "":
		return because(CodeNotAllowed, "Its project is not named, so it counts as not allowed (V2)."), true
	case !r.Allows(a.Project):
		return because(CodeNotAllowed, "The project %s is not allowed on this machine (V2).", a.Project), true
	case a.Memory > r.Memory && r.Memory > 0:
		return because(CodeMemory, "It may need %s of memory, this machine offers %s to a task.", bytesText(a.Memory), bytesText(r.Memory)), true
	}
	return Reason{}, false
}
