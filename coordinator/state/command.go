package state

import (
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Command is one change to a State, as the log records it. Kinds are numbered
// and never reused; a field is only added, with a zero value that means what
// its absence meant before.
//
//sumtype:decl
type Command interface{ kind() uint16 }

// InitCluster is the first command of a cluster's life.
type InitCluster struct {
	ID         task.ClusterID `msgpack:"i"`
	Secret     []byte         `msgpack:"s,omitempty"`
	Operator   task.Key       `msgpack:"o"`
	Anyone     bool           `msgpack:"a,omitempty"`
	Publishers []task.Key     `msgpack:"p,omitempty"`
}

// SetMember records where a coordinator is reached, or that it was removed.
type SetMember struct {
	Member Member `msgpack:"m"`
}

// Request says whose numbered request a command carries out (R2). The
// signature was verified before the command was proposed.
type Request struct {
	Key     task.Key       `msgpack:"k"`
	Session task.SessionID `msgpack:"s"`
	Opened  task.Millis    `msgpack:"o"`
	Number  uint64         `msgpack:"n"`
	Sum     task.Digest    `msgpack:"d"` // protocol.Envelope.Sum
}

// RequestOf is the request that an envelope carries.
func RequestOf(e *protocol.Envelope) Request {
	return Request{Key: e.Key, Session: e.Session, Opened: e.Opened, Number: e.Number, Sum: e.Sum()}
}

// SetPublishers says who may publish.
type SetPublishers struct {
	Request Request    `msgpack:"q"`
	Anyone  bool       `msgpack:"a,omitempty"`
	Listed  []task.Key `msgpack:"l,omitempty"`
}

// Enrol makes a host known, and its account when that is new. The certificate
// was verified before.
type Enrol struct {
	Request     Request            `msgpack:"q"`
	Account     task.Key           `msgpack:"a"`
	AccountName string             `msgpack:"n"`
	HostName    string             `msgpack:"h"`
	Facts       protocol.HostFacts `msgpack:"f"`
}

// CreateProject makes a project.
type CreateProject struct {
	Request     Request `msgpack:"q"`
	Name        string  `msgpack:"n"`
	Description string  `msgpack:"d"`
	AccountName string  `msgpack:"a"`
}

// Publish adds an app version. Its program was checked and its signature
// verified before.
type Publish struct {
	Request   Request     `msgpack:"q"`
	Project   string      `msgpack:"p"`
	App       string      `msgpack:"a"`
	Program   task.Digest `msgpack:"m"`
	Meter     uint16      `msgpack:"v"`
	Signature []byte      `msgpack:"g,omitempty"`
}

// SubmitJob submits a job. The blobs that it names are on a majority of nodes,
// and its index, where it has one, was checked against its file.
type SubmitJob struct {
	Request Request `msgpack:"q"`
	Project string  `msgpack:"p"`
	Spec    []byte  `msgpack:"s,omitempty"`
}

// CancelJob ends a job.
type CancelJob struct {
	Request Request    `msgpack:"q"`
	Job     task.JobID `msgpack:"j"`
}

// Exchange is one contact of a host: what it returned, what it lost, and what
// was picked for it. Outputs of its reports are on a majority of nodes.
type Exchange struct {
	Request Request             `msgpack:"q"`
	Facts   *protocol.HostFacts `msgpack:"f,omitempty"` // when they changed
	Reports []Report            `msgpack:"r,omitempty"`
	Dropped []task.AttemptID    `msgpack:"d,omitempty"` // open attempts that the host does not hold any more
	Assign  []Assignment        `msgpack:"a,omitempty"`
}

// Report is how one attempt ended.
type Report struct {
	Attempt task.AttemptID   `msgpack:"i"`
	Failure protocol.Failure `msgpack:"f,omitempty"`
	Refused bool             `msgpack:"u,omitempty"` // it did not verify before the log; the attempt is given back
	Exit    task.Exit        `msgpack:"x"`
	Work    uint64           `msgpack:"w"`
	Output  task.Digest      `msgpack:"o"`
}

// Assignment is one pick: this task for the host of the exchange.
type Assignment struct {
	Stage task.StageID `msgpack:"s"`
	Index uint64       `msgpack:"i"`
}

// Expire ends open attempts whose deadline has passed.
type Expire struct {
	Attempts []task.AttemptID `msgpack:"a,omitempty"`
}

// Judge records verdicts.
type Judge struct {
	Verdicts []Verdict `msgpack:"v,omitempty"`
}

// Verdict is what validation decided of one task. Exactly one of Winner, More
// and Fail is set.
type Verdict struct {
	Stage  task.StageID   `msgpack:"s"`
	Index  uint64         `msgpack:"i"`
	Winner task.AttemptID `msgpack:"w,omitempty"` // a result that is right
	More   uint8          `msgpack:"m,omitempty"` // further attempts are needed
	Fail   FailReason     `msgpack:"f,omitempty"` // the attempts have run out
}

// Release makes the results of one chunk final.
type Release struct {
	Stage task.StageID `msgpack:"s"`
	Chunk uint64       `msgpack:"c"`
}

// Overflow makes the results of one chunk final but for those of the few tasks that
// have no verdict yet: they are its late ones.
type Overflow struct {
	Stage task.StageID `msgpack:"s"`
	Chunk uint64       `msgpack:"c"`
}

// OpenStage begins the next level of a job's reduction, once the level below
// is released. The pages that Index lists are on a majority of nodes.
type OpenStage struct {
	Job   task.JobNumber `msgpack:"j"`
	Level uint8          `msgpack:"l"`
	Index task.Digest    `msgpack:"x"`
}

// ForgetSessions drops sessions not used since Before.
type ForgetSessions struct {
	Before task.Millis `msgpack:"b"`
}

// Seal drops the records of a released chunk; the sheaf that holds its results
// and their evidence, and the pack of their small outputs, are on a majority of
// nodes. Of a cancelled job it drops the
// records of a chunk that will never be released, without a sheaf.
type Seal struct {
	Stage task.StageID `msgpack:"s"`
	Chunk uint64       `msgpack:"c"`
	Sheaf task.Digest  `msgpack:"h"`
	Pack  task.Digest  `msgpack:"p"`           // holds the lists of outputs of accepted results, and what is small of the outputs; none where no result was accepted
	Late  bool         `msgpack:"l,omitempty"` // it is about the late tasks of the chunk; the records of the others have gone before
}

// Operate is an operator's wish about the coordinators: that one is to be
// removed, or that another is to lead.
type Operate struct {
	Request Request         `msgpack:"q"`
	Action  protocol.Action `msgpack:"a"`
	Node    task.NodeID     `msgpack:"n,omitempty"`
}

// The kinds, as the log has them.
const (
	kindInitCluster    uint16 = 1
	kindSetMember      uint16 = 2
	kindSetPublishers  uint16 = 3
	kindEnrol          uint16 = 4
	kindCreateProject  uint16 = 5
	kindPublish        uint16 = 6
	kindSubmitJob      uint16 = 7
	kindCancelJob      uint16 = 8
	kindExchange       uint16 = 9
	kindExpire         uint16 = 10
	kindJudge          uint16 = 11
	kindRelease        uint16 = 12
	kindOpenStage      uint16 = 13
	kindForgetSessions uint16 = 14
	kindSeal           uint16 = 15
	kindRaiseVersion   uint16 = 25
	kindOperate        uint16 = 24
	kindOverflow       uint16 = 26
)

func (*InitCluster) kind() uint16    { return kindInitCluster }
func (*SetMember) kind() uint16      { return kindSetMember }
func (*SetPublishers) kind() uint16  { return kindSetPublishers }
func (*Enrol) kind() uint16          { return kindEnrol }
func (*CreateProject) kind() uint16  { return kindCreateProject }
func (*Publish) kind() uint16        { return kindPublish }
func (*SubmitJob) kind() uint16      { return kindSubmitJob }
func (*CancelJob) kind() uint16      { return kindCancelJob }
func (*Exchange) kind() uint16       { return kindExchange }
func (*Expire) kind() uint16         { return kindExpire }
func (*Judge) kind() uint16          { return kindJudge }
func (*Release) kind() uint16        { return kindRelease }
func (*OpenStage) kind() uint16      { return kindOpenStage }
func (*ForgetSessions) kind() uint16 { return kindForgetSessions }
func (*Seal) kind() uint16           { return kindSeal }
func (*RaiseVersion) kind() uint16   { return kindRaiseVersion }
func (*Operate) kind() uint16        { return kindOperate }
func (*Overflow) kind() uint16       { return kindOverflow }

// newCommand is an empty command of a kind, or nil for a kind that this
// program does not know.
func newCommand(kind uint16) Command {
	switch kind {
	case kindInitCluster:
		return &InitCluster{}
	case kindSetMember:
		return &SetMember{}
	case kindSetPublishers:
		return &SetPublishers{}
	case kindEnrol:
		return &Enrol{}
	case kindCreateProject:
		return &CreateProject{}
	case kindPublish:
		return &Publish{}
	case kindSubmitJob:
		return &SubmitJob{}
	case kindCancelJob:
		return &CancelJob{}
	case kindExchange:
		return &Exchange{}
	case kindExpire:
		return &Expire{}
	case kindJudge:
		return &Judge{}
	case kindRelease:
		return &Release{}
	case kindOpenStage:
		return &OpenStage{}
	case kindForgetSessions:
		return &ForgetSessions{}
	case kindSeal:
		return &Seal{}
	case kindRaiseVersion:
		return &RaiseVersion{}
	case kindOperate:
		return &Operate{}
	case kindOverflow:
		return &Overflow{}
	}
	c, _ := nextCommand(kind)
	return c
}

// MaxEntry bounds one log entry, in bytes.
const MaxEntry = 8 << 20

// frameEntry is the kind of frame that a log entry is.
const frameEntry uint16 = 16

// Entry is one log entry: the commands of many requests, and the cluster time
// at which the leader wrote it (R5).
type Entry struct {
	Now      task.Millis
	Commands [][]byte // each made by EncodeCommand
}

type entryBytes struct {
	Now      task.Millis `msgpack:"n"`
	Commands [][]byte    `msgpack:"c,omitempty"`
}

// EncodeCommand is a command as an entry holds it.
func EncodeCommand(c Command) []byte { return wire.SealValue(c.kind(), c) }

// AppendCommand appends a command as an entry holds it.
func AppendCommand(b []byte, c Command) []byte { return wire.AppendSealed(b, c.kind(), c) }

// EncodeEntry is an entry as the log holds it.
func EncodeEntry(e Entry) []byte { return wire.SealValue(frameEntry, (*entryBytes)(&e)) }
