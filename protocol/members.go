package protocol

import (
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// Paths of what a cluster's operator reads, signed with the operator's key.
const (
	PathMembers   = "/v1/operator/members" // GET: MembersView
	PathJoinToken = "/v1/operator/token/"  // GET, followed by the seconds that it is good: JoinTokenView
)

// Action is what an operator wants done about the coordinators. Numbers are
// never reused.
type Action uint8

// The actions.
const (
	ActionRemove   Action = 1 // a member goes for good
	ActionTransfer Action = 2 // another member leads
	ActionKeep     Action = 3 // a member that is to go, and has not gone, stays
	actionEnd      Action = 4
)

// Valid reports whether an action is known.
func (a Action) Valid() bool { return a >= ActionRemove && a < actionEnd }

// Operate asks for an action. A removal is finished in the background; reading
// PathMembers tells how far it is.
type Operate struct {
	Action Action      `msgpack:"a"`
	Node   task.NodeID `msgpack:"n,omitempty"` // of a transfer: "" for any
}

// Roles of a member.
const (
	RoleVoter   = "voter"
	RoleJoining = "joining" // has no vote yet: it copies what the others have
	RoleLeaving = "leaving" // is to be removed: what it has is copied
)

// MembersView is GET PathMembers, as the leader sees the coordinators.
type MembersView struct {
	Cluster task.ClusterID `json:"cluster"`
	Leader  task.NodeID    `json:"leader"`
	Term    uint64         `json:"term"`
	Members []MemberView   `json:"members"`
	OK      bool           `json:"ok"` // nothing is wrong
	Reasons []string       `json:"reasons,omitempty"`
}

// MemberView is how one coordinator stands. What only it can say is missing
// where it does not answer.
type MemberView struct {
	Node        task.NodeID `json:"node"`
	URL         string      `json:"url"`
	Raft        string      `json:"raft"`
	Role        string      `json:"role"`
	Leader      bool        `json:"leader"`
	Reached     bool        `json:"reached"`
	Why         string      `json:"why,omitempty"`          // it was not reached, or is not ready
	LastContact int64       `json:"last_contact_ms"`        // since it heard of the leader; -1: never
	Applied     uint64      `json:"applied_index"`          // the last log entry in its state
	Behind      uint64      `json:"behind"`                 // entries that the leader has applied, and it has not
	LogBytes    int64       `json:"log_bytes"`              // of log and snapshots on its disk
	DiskFree    int64       `json:"disk_free_bytes"`        // -1: its system does not say
	DigestIndex uint64      `json:"digest_index,omitempty"` // the last entry after which its state was compared
	Digest      string      `json:"digest"`                 // equal, differs, or unknown: nothing to compare yet
	Copied      int64       `json:"copied_blobs,omitempty"` // while it joins
	CopiedBytes int64       `json:"copied_bytes,omitempty"` // while it joins
	Waits       string      `json:"waits,omitempty"`        // what a member that joins or leaves waits for
	Replaces    task.NodeID `json:"replaces,omitempty"`     // the lost member whose place it takes
}

// How a member's state compares with the others'.
const (
	DigestEqual   = "equal"
	DigestDiffers = "differs"
	DigestUnknown = "unknown"
)

// How long a join token may be good: who finds an old one must not get in with
// it.
const (
	MinTokenLife = time.Minute
	MaxTokenLife = 30 * 24 * time.Hour
)

// JoinTokenView is GET PathJoinToken: what one more coordinator joins with.
type JoinTokenView struct {
	Token   string         `json:"token"` // lets one coordinator join, once
	Join    string         `json:"join"`  // the URL to join at
	Cluster task.ClusterID `json:"cluster"`
	Until   time.Time      `json:"good_until"` // by the wall clock
}
