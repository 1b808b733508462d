package plan

import (
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// Stage is how far an attempt has come on this machine.
type Stage uint8

// The stages, in their order. Stopping a running attempt takes it back to
// StageReady, stopping a fetch to StageAccepted.
//
//	Accepted → Fetching → Ready → Running → Finished → Uploading → Reportable → Sent
//
// An attempt with small outputs, or with none, skips Finished and Uploading.
const (
	StageAccepted   Stage = iota // in the journal; nothing of it was fetched
	StageFetching                // its program and inputs are on their way
	StageReady                   // all that it needs is here and verified
	StageRunning                 // its child process lives
	StageFinished                // its result is in the journal, its outputs must be uploaded
	StageUploading               // they are on their way
	StageReportable              // its report can be sent
	StageSent                    // its report is in the request that is on its way
)

// String names the stage.
func (s Stage) String() string {
	names := [...]string{"accepted", "fetching", "ready", "running", "finished", "uploading", "reportable", "sent"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Attempt is what the plan must know of one accepted attempt.
type Attempt struct {
	ID        task.AttemptID
	Project   string        // who it is for; as the publisher signed it
	Program   task.Digest   // what it runs, by which its time is expected
	Memory    uint64        // bytes that it may take
	Deadline  time.Time     // by the local clock
	Term      time.Duration // from its beginning to its deadline, as its job says; 0: not known
	Stage     Stage
	Cancelled bool      // a coordinator said that nobody waits for it
	Stopping  bool      // it was told to stop, and is still at it
	RetryAt   time.Time // after a failed fetch or upload: not before
	Since     time.Time // it can be reported, where it is StageReportable; zero: since long ago
}

// busy reports whether something goes on that takes a moment to stop.
func (a *Attempt) busy() bool {
	return a.Stage == StageFetching || a.Stage == StageRunning || a.Stage == StageUploading
}

// computed reports whether its result stands.
func (a *Attempt) computed() bool { return a.Stage >= StageFinished }

// Queue is what the machine holds.
type Queue struct {
	Attempts []Attempt // accepted, and not acknowledged
	Contact  Contact
	Paces    Paces // of the tasks that ran here
}

// Contact is how things stand with the coordinators. The zero value has never
// called.
type Contact struct {
	Busy      bool        // a request is on its way
	NotBefore time.Time   // no call before
	NotAfter  time.Time   // a call by then, even with nothing to say; zero: at once
	Unmet     bool        // the last answer gave less than was asked for
	Reason    task.Reason // of the last answer: why not as much as was asked for
	Trouble   string      // why no coordinator answers, in a sentence; empty: one does
}

// Kind is what an action does.
type Kind uint8

// The kinds of actions. Stop, and Forget and GiveBack of what is fetched, runs
// or is uploaded, take a moment; meanwhile the attempt keeps its stage and is
// Stopping.
const (
	Fetch    Kind = iota // get the program and the inputs of an attempt: it is then Fetching
	Start                // run it: it is then Running
	Stop                 // stop running or fetching, and keep it
	Forget               // drop it without a report
	GiveBack             // report it as abandoned
	Upload               // upload its outputs: it is then Uploading
	Exchange             // call a coordinator: the contact is then Busy
)

// String names the kind.
func (k Kind) String() string {
	names := [...]string{"fetch", "start", "stop", "forget", "give back", "upload", "exchange"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Action is one thing to do now.
type Action struct {
	Kind    Kind
	Attempt task.AttemptID // of all kinds but Exchange
	Want    int            // of an exchange: further attempts to ask for
	Reason  Reason
}

// Decision is what to do now, and why things are as they are.
type Decision struct {
	Actions []Action  // in the order in which to do them
	Wake    time.Time // ask again by then; zero: only when something happens
	Done    bool      // the owner wanted it to finish, and nothing is left to do

	Reason   Reason   // of the machine as a whole: what it does, or why it does nothing
	Attempts []Reason // of each attempt of the queue, in the queue's order
}
