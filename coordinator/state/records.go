package state

import (
	"slices"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/validation"
)

// Cluster is what is true of the cluster as a whole.
type Cluster struct {
	ID         task.ClusterID `msgpack:"i"`
	Secret     []byte         `msgpack:"s,omitempty"` // known to its coordinators alone
	Operator   task.Key       `msgpack:"o"`           // the account that may change settings
	Now        task.Millis    `msgpack:"n"`           // cluster time of the last entry (R5)
	Attempts   uint64         `msgpack:"t"`           // handed out, ever
	Anyone     bool           `msgpack:"a,omitempty"` // anyone may publish
	Publishers []task.Key     `msgpack:"p,omitempty"` // who may, when not anyone; sorted
	Version    uint16         `msgpack:"y,omitempty"` // see State.Version
	Serials    uint64         `msgpack:"e"`           // attempts' serial numbers given out, modulo 2³² in each
	Changes    uint64         `msgpack:"m,omitempty"` // of its members, counted: who stores a blob says as of which one
}

// Member is a coordinator that the cluster has had, or is about to have. What
// Raft makes of it, a voter or not, is Raft's to know.
type Member struct {
	Node    task.NodeID `msgpack:"n"`
	URL     string      `msgpack:"u"` // where clients reach it, with the fingerprint that they go by, if any (protocol.Address)
	Raft    string      `msgpack:"r"` // where its peers reach it
	Removed bool        `msgpack:"x,omitempty"`
	Version uint16      `msgpack:"v,omitempty"` // see Member.Knows
	Key     task.Digest `msgpack:"k"`           // fingerprint of the key that proves it is this node; its name belongs to it for good
	Token   uint64      `msgpack:"t,omitempty"` // number of the token that let it join, used up by that; 0: it made the cluster, or joined without
	// Joining: it may have the cluster's keys, copies what the others have, and
	// gets its vote when enough is there. Clients do not hear of it yet.
	Joining bool `msgpack:"j,omitempty"`
	// Leaving: it is to be removed; blobs must be on a majority without it.
	Leaving bool `msgpack:"l,omitempty"`
	// Replaces is, while it joins, a lost member that goes when it gets its vote.
	Replaces task.NodeID `msgpack:"p,omitempty"`
}

// Account is a person or an institution.
type Account struct {
	Key     task.Key    `msgpack:"k"`
	Name    string      `msgpack:"n"`
	Created task.Millis `msgpack:"c"`
}

// Host is one volunteer machine. Its counts of results move at release only,
// so that nobody can watch a verdict being made (T3).
type Host struct {
	Key     task.Key           `msgpack:"k"`
	Account task.AccountID     `msgpack:"a"`
	Name    string             `msgpack:"n"`
	Created task.Millis        `msgpack:"c"`
	Seen    task.Millis        `msgpack:"s"` // its last logged exchange
	Facts   protocol.HostFacts `msgpack:"f"`
	Valid   uint64             `msgpack:"v"` // released results of it that were right
	Wrong   uint64             `msgpack:"w"` // released results of it that were wrong
	Pending int64              `msgpack:"p"` // credit of verdicts not yet released
	Earned  int64              `msgpack:"e"` // credit
}

// Project is what a publisher runs. Its two balances are the other side of
// its volunteers' credit: never positive, and together with theirs zero (C1).
type Project struct {
	Name        string         `msgpack:"n"`
	Description string         `msgpack:"d"`
	Owner       task.AccountID `msgpack:"o"`
	Created     task.Millis    `msgpack:"c"`
	Pending     int64          `msgpack:"p"`
	Spent       int64          `msgpack:"s"`
}

// App is a named program of a project.
type App struct {
	Project task.ProjectID `msgpack:"p"`
	Name    string         `msgpack:"n"`
}

// Version is one immutable build of an app.
type Version struct {
	App       task.AppID  `msgpack:"a"`
	Program   task.Digest `msgpack:"p"`
	Meter     uint16      `msgpack:"m"`
	Signature []byte      `msgpack:"g,omitempty"`
	Published task.Millis `msgpack:"t"`
}

// JobState is how far a job is.
type JobState uint8

// The states of a job.
const (
	JobRunning   JobState = 1
	JobDone      JobState = 2 // every level is released
	JobCancelled JobState = 3
)

// Job is one submitted workload.
type Job struct {
	ID        task.JobID     `msgpack:"i"`
	Account   task.AccountID `msgpack:"a"`
	Project   task.ProjectID `msgpack:"p"`
	Map       task.VersionID `msgpack:"v"`           // the program of level 0
	Reduce    task.VersionID `msgpack:"r"`           // the program of the levels above, or 0
	Spec      []byte         `msgpack:"s,omitempty"` // as submitted
	State     JobState       `msgpack:"t"`
	Submitted task.Millis    `msgpack:"b"`
	Finished  task.Millis    `msgpack:"f"`
	Stages    []task.StageID `msgpack:"l,omitempty"` // its levels opened so far
	Attempts  uint64         `msgpack:"n"`           // handed out
	Returned  uint64         `msgpack:"e"`           // that brought a result
	Wrong     uint64         `msgpack:"w"`           // that brought a wrong one
	Credit    int64          `msgpack:"c"`           // granted, pending or earned
}

// Stage is one level of a job: its split, or a level of its reduction. Its
// tasks below Cursor have records; the others have not been touched.
type Stage struct {
	Job      task.JobNumber `msgpack:"j"`
	Level    uint8          `msgpack:"l"`
	Count    uint64         `msgpack:"n"`
	Cursor   uint64         `msgpack:"c"`
	Index    task.Digest    `msgpack:"x"` // list of index pages, for levels that have one
	Accepted uint64         `msgpack:"a"`
	Failed   uint64         `msgpack:"f"`
	Errors   uint64         `msgpack:"e"` // released tasks whose program ended with an error or a trap
	Released uint64         `msgpack:"r"` // chunks
	Root     task.Digest    `msgpack:"t"` // of the result tree, once all chunks are released
	Sealed   uint64         `msgpack:"s"` // chunks whose records have gone
	Evidence task.Digest    `msgpack:"v"` // of the tree over the sheaves, once all chunks are sealed
	// What the attempts of sealed chunks came to; the others are counted from
	// their records.
	SealedAttempts uint64 `msgpack:"m"`
	SealedCredit   int64  `msgpack:"k"`
}

// ChunkTasks is how many consecutive tasks are released together.
const ChunkTasks = 4096

// Chunk is a group of ChunkTasks tasks, or of what is left at the end.
type Chunk struct {
	Decided  uint32      `msgpack:"d"`
	Failed   uint32      `msgpack:"f"`           // tasks that ended failed, once released or sealed
	Errors   uint32      `msgpack:"e"`           // accepted results with an exit above 0, once released
	Overflow uint32      `msgpack:"o,omitempty"` // place in the overflow table, if it was released without some tasks; 0: none
	Released bool        `msgpack:"r,omitempty"` // all of it
	Sealed   bool        `msgpack:"s,omitempty"` // its tasks' records have gone, all of them
	Root     task.Digest `msgpack:"t"`           // of the result tree's part, once released
	Pack     task.Digest `msgpack:"p"`           // holds lists of outputs and small outputs, once sealed; none if no result was accepted
	Sheaf    task.Digest `msgpack:"h"`           // holds results and evidence, once sealed; none if the job was cancelled
}

// MaxOverflow is how many tasks of a chunk may drag on when it is released
// without them.
const MaxOverflow = 64

// Overflowed is what there is beside a chunk that was released without the tasks
// that dragged on, its late ones. They stay where they are, in the stage's table
// of tasks, and are released and sealed together once each has its verdict: then
// the chunk's own fields say so, its root, pack and sheaf, the one of the late ones.
type Overflowed struct {
	Stage  task.StageID  `msgpack:"g"`
	Chunk  uint64        `msgpack:"c"`
	Late   []uint16      `msgpack:"l,omitempty"` // their places in the chunk, ascending
	Hashes []task.Digest `msgpack:"h,omitempty"` // of the others' leaves (task.Prune), until the chunk's root is known
	Sealed bool          `msgpack:"s,omitempty"` // the others' records have gone
	Pack   task.Digest   `msgpack:"p"`           // of the others, once sealed
	Sheaf  task.Digest   `msgpack:"e"`           // of the others, once sealed
}

// isLate reports whether a task drags on, by its number in the stage.
func (o *Overflowed) isLate(i uint64) bool {
	return o.anyLate(i, i+1)
}

// anyLate reports whether one of some consecutive tasks of the chunk drags on.
func (o *Overflowed) anyLate(from, to uint64) bool {
	k, _ := slices.BinarySearch(o.Late, uint16(from%ChunkTasks))
	return k < len(o.Late) && uint64(o.Late[k]) < from%ChunkTasks+to-from
}

// TaskState is what is known of a task.
type TaskState uint8

// The states of a task that has a record.
const (
	TaskLive     TaskState = 0
	TaskAccepted TaskState = 1
	TaskFailed   TaskState = 2
	TaskGone     TaskState = 3 // sealed: it has no record, though a late task near it has
)

// FailReason says why a task ended failed.
type FailReason uint8

// The reasons, recorded at the verdict.
const (
	FailNone     FailReason = 0
	FailDisagree FailReason = 1 // results came, too few of them equal
	FailNoResult FailReason = 2 // no attempt brought a result
)

// Task is the record of a task that was handed out at least once, or lies
// below one that was.
type Task struct {
	Last     uint32     `msgpack:"l"` // its latest attempt's slot; 0: none
	Accepted uint32     `msgpack:"a"` // slot of an attempt whose result is the task's
	State    TaskState  `msgpack:"s"`
	Fail     FailReason `msgpack:"f"`
	Want     uint8      `msgpack:"w"` // further attempts to hand out
	Open     uint8      `msgpack:"o"` // attempts that are out
	Reported uint8      `msgpack:"r"` // results that count
	Tries    uint8      `msgpack:"t"` // attempts ever handed out
	Ripe     bool       `msgpack:"p"` // to be judged
}

// AttemptState is how far an attempt is.
type AttemptState uint8

// The states of an attempt; none is that of a free slot. Only open, reported, valid and wrong ones count
// for T2: the others left their place to somebody else.
const (
	AttemptNone     AttemptState = 0
	AttemptOpen     AttemptState = 1
	AttemptReported AttemptState = 2 // its result waits for a verdict
	AttemptValid    AttemptState = 3
	AttemptWrong    AttemptState = 4
	AttemptExpired  AttemptState = 5 // the deadline passed
	AttemptReturned AttemptState = 6 // the host gave it back without a result
	AttemptDropped  AttemptState = 7 // the host lost it, or nobody waits for it
)

// Counts reports whether the attempt holds its account's one place at a task.
func (s AttemptState) Counts() bool { return s >= AttemptOpen && s <= AttemptWrong }

// Attempt is one task given to one host.
type Attempt struct {
	Serial   uint32           `msgpack:"s"` // tells this attempt from others that had its slot
	Previous uint32           `msgpack:"p"` // slot of the task's attempt before it; 0: none
	Stage    task.StageID     `msgpack:"g"`
	Index    uint32           `msgpack:"i"`
	Host     task.HostID      `msgpack:"h"`
	State    AttemptState     `msgpack:"t"`
	Failure  protocol.Failure `msgpack:"f"`
	Exit     task.Exit        `msgpack:"x"`
	Work     uint64           `msgpack:"w"`
	Deadline task.Millis      `msgpack:"d"`
	Output   task.Digest      `msgpack:"o"`
}

// Credit is what was granted for the attempt: nothing unless it is valid.
func (a *Attempt) Credit() int64 {
	if a.State != AttemptValid {
		return 0
	}
	return validation.Credit(a.Work)
}

// Session is a sender's run of numbered requests, with what rebuilds the
// answer to the last one (R2).
type Session struct {
	Key     task.Key       `msgpack:"k"`
	ID      task.SessionID `msgpack:"i"`
	Opened  task.Millis    `msgpack:"o"`
	Touched task.Millis    `msgpack:"t"`
	Last    uint64         `msgpack:"l"` // number of the last request
	Sum     task.Digest    `msgpack:"s"` // of the last request
	Answer  Answer         `msgpack:"a"`
	Closed  bool           `msgpack:"c,omitempty"` // forgotten; its place may be taken by another
}

// Answer is what a request was told, as far as it cannot be computed again.
type Answer struct {
	Error    *protocol.Error  `msgpack:"e,omitempty"` // a refusal; nothing else was done
	Job      task.JobID       `msgpack:"j"`
	Existed  bool             `msgpack:"x,omitempty"`
	Acks     []byte           `msgpack:"k,omitempty"` // one protocol.Ack for each report
	Attempts []task.AttemptID `msgpack:"a,omitempty"` // handed out
}
