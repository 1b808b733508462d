package protocol

import (
	"unicode"
	"unicode/utf8"

	"github.com/sheafgrid/sheaf/task"
)

// Enrol makes a machine known. The envelope is signed by the host's own key.
type Enrol struct {
	Account     task.Key  `msgpack:"a"`
	AccountName string    `msgpack:"n"` // used when the account is new
	HostName    string    `msgpack:"h"`
	Certificate []byte    `msgpack:"c,omitempty"` // Certify(account, host)
	Facts       HostFacts `msgpack:"f"`
}

// HostFacts is what a machine says of itself. The scheduler believes it as far
// as it only harms the machine's own chances.
type HostFacts struct {
	Client string `msgpack:"v"` // version of the client
	OS     string `msgpack:"o"`
	Arch   string `msgpack:"a"`
	Cores  uint16 `msgpack:"c"` // offered, not owned
	Memory uint64 `msgpack:"m"` // bytes offered to one task
}

// Check refuses facts that do not fit into a record. Its error is an *Error.
func (f *HostFacts) Check() error {
	for _, text := range []string{f.Client, f.OS, f.Arch} {
		if len(text) > 64 {
			return Refuse(CodeInvalid, "host facts: a text of %d bytes, at most 64 are allowed", len(text))
		}
		for _, r := range text {
			if r == utf8.RuneError || !unicode.IsPrint(r) {
				return Refuse(CodeInvalid, "host facts: the character %q cannot be shown", r)
			}
		}
	}
	return nil
}

// Exchange is everything that a host says in one contact.
type Exchange struct {
	Reports  []Report         `msgpack:"r,omitempty"`
	Held     []task.AttemptID `msgpack:"h,omitempty"` // what it accepted and has not reported, this exchange's reports left out
	Want     uint16           `msgpack:"w"`           // further attempts it would take
	Allow    []string         `msgpack:"a,omitempty"` // projects that its owner allows
	AllowAll bool             `msgpack:"l,omitempty"` // its owner allows every project
	Facts    HostFacts        `msgpack:"f"`
}

// Report is how one attempt ended: with a result, or without one (Failure).
type Report struct {
	Attempt task.AttemptID `msgpack:"i"`
	Task    task.Digest    `msgpack:"t"` // the task's checksum, as the host computed it
	Failure Failure        `msgpack:"f,omitempty"`
	Note    string         `msgpack:"n,omitempty"` // with a failure: what happened, for people; at most MaxNote bytes
	Exit    task.Exit      `msgpack:"x"`
	Work    uint64         `msgpack:"w"`
	Outputs []byte         `msgpack:"o,omitempty"` // the canonical list of outputs (task.OutputList)
	Inline  [][]byte       `msgpack:"b,omitempty"` // the outputs' bytes in the order of the list; left out where they were uploaded before
}

// MaxNote bounds Report.Note, in bytes.
const MaxNote = 512

// MayHold is how many attempts a host of so many cores may have out: enough to
// be busy between contacts, too few to hoard.
func MayHold(cores int) int { return min(16+16*cores, MaxHeld) }

// Failure says why an attempt brought no result. It strikes nobody (T5).
type Failure uint8

// The failures.
const (
	FailureNone      Failure = 0
	FailureAbandoned Failure = 1 // the host gives it back: paused, leaving, rules changed
	FailureWall      Failure = 2 // it ran longer than the task's wall-clock limit
	FailureEngine    Failure = 3 // the sandbox or the engine failed
	FailureInput     Failure = 4 // a blob could not be fetched, or did not verify
	FailureProgram   Failure = 5 // the client refuses the program or its signature
	failureEnd       Failure = 6
)

// Valid reports whether f is a failure that this version knows.
func (f Failure) Valid() bool { return f < failureEnd }

// String says the failure in a word or two.
func (f Failure) String() string {
	names := [...]string{"none", "given back", "wall-clock limit", "engine failed", "input not available", "program refused"}
	if f.Valid() {
		return names[f]
	}
	return "unknown failure"
}

// ExchangeReply answers an exchange.
type ExchangeReply struct {
	Acks        []Ack // one for each report, in order
	Attempts    []Attempt
	Cancel      []task.AttemptID // held attempts that nobody waits for any more
	Reason      task.Reason      // why not as many as wanted
	AfterMillis uint32           // come back no sooner
	NextMillis  uint32           // come back no later, even with nothing to say; jittered
	Time        task.Millis      // cluster time
	Members     []Member
	Leader      task.NodeID
}

// Ack says what became of one report. Whatever it says, the host need not keep
// the report any longer.
type Ack uint8

// The acknowledgements.
const (
	AckAccepted  Ack = 1 // durable: it will be compared, or was given back
	AckDuplicate Ack = 2 // this attempt was reported before
	AckGone      Ack = 3 // unknown or expired, and the task went elsewhere
	AckCancelled Ack = 4 // its job was cancelled
	AckUnneeded  Ack = 5 // the task was decided and released without it
	AckRefused   Ack = 6 // it names another task's checksum, or its outputs do not fit
)

// String says the acknowledgement in a word.
func (a Ack) String() string {
	names := [...]string{"none", "accepted", "duplicate", "gone", "cancelled", "unneeded", "refused"}
	if int(a) < len(names) {
		return names[a]
	}
	return "unknown"
}

// Attempt is one task given to one host until a deadline.
type Attempt struct {
	ID             task.AttemptID `msgpack:"i"`
	Task           task.Task      `msgpack:"t"`
	Sum            task.Digest    `msgpack:"s"`
	DeadlineMillis uint64         `msgpack:"d"` // from the reply's arrival
	Version        Signed         `msgpack:"v"`
}

// Signed is the publisher's word for the program: who, for what project and
// app, and the signature over it (SignVersion).
type Signed struct {
	Project   string   `msgpack:"p"`
	App       string   `msgpack:"a"`
	Publisher task.Key `msgpack:"k"`
	Signature []byte   `msgpack:"g,omitempty"`
}

// Verify reports whether the publisher signed this program and meter.
func (s *Signed) Verify(program task.Digest, meter uint16) bool {
	return VerifyVersion(s.Publisher, s.Project, s.App, program, meter, s.Signature)
}

// Member is one coordinator of the cluster.
type Member struct {
	Node task.NodeID `msgpack:"n" json:"node"`
	URL  string      `msgpack:"u" json:"url"`
}
