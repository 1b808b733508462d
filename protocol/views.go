package protocol

import "github.com/sheafgrid/sheaf/task"

// What follows is the JSON that anyone may read. Fields are only added.

// ClusterView is GET /v1/cluster.
type ClusterView struct {
	Cluster  task.ClusterID `json:"cluster"`
	Protocol uint16         `json:"protocol"`
	Version  uint16         `json:"cluster_version"` // what its log may hold; every member's program knows it
	Time     task.Millis    `json:"time_ms"`         // cluster time; a session is opened with it
	Node     task.NodeID    `json:"node"`            // who answered
	Leader   task.NodeID    `json:"leader"`          // "" while the cluster is choosing one
	Members  []Member       `json:"members"`
	Anyone   bool           `json:"anyone_may_publish"`
	Jobs     JobCounts      `json:"jobs"`
	Hosts    int            `json:"hosts"`
}

// JobCounts counts jobs by state.
type JobCounts struct {
	Running   int `json:"running"`
	Done      int `json:"done"`
	Cancelled int `json:"cancelled"`
}

// NodeView is GET /v1/node: how the node that answers stands.
type NodeView struct {
	Node    task.NodeID `json:"node"`
	Leader  task.NodeID `json:"leader"`
	Serving bool        `json:"serving"` // it leads and has caught up
	Term    uint64      `json:"term"`
	Last    uint64      `json:"last_index"`
	Applied uint64      `json:"applied_index"`
}

// DigestView is GET /v1/node/digest: equal on all nodes at the same index (R3).
type DigestView struct {
	Node   task.NodeID `json:"node"`
	Index  uint64      `json:"index"`
	Digest task.Digest `json:"digest"`
}

// JobView is GET /v1/jobs/{id}, and one element of GET /v1/jobs.
type JobView struct {
	Job        task.JobID   `json:"job"`
	Name       string       `json:"name"`
	Project    string       `json:"project"`
	Publisher  task.Key     `json:"publisher"`
	State      string       `json:"state"` // running, done, cancelled
	Submitted  task.Millis  `json:"submitted_ms"`
	Finished   task.Millis  `json:"finished_ms,omitempty"`
	Replicate  uint8        `json:"replicate"`
	Collect    task.Collect `json:"collect"`
	Levels     []LevelView  `json:"levels"`               // those opened so far
	AllLevels  uint8        `json:"all_levels"`           // 1 without a reduction
	ResultRoot task.Digest  `json:"result_root,omitzero"` // once level 0 is released
	ReduceRoot task.Digest  `json:"reduce_root,omitzero"` // once the last level is released
	WaitsFor   string       `json:"waits_for,omitempty"`  // why it is not further, in a sentence
	Progress   *Progress    `json:"progress,omitempty"`   // for the publisher alone, until the job has ended
}

// LevelView is one level of a job. Anyone may see which tasks were begun and
// which are final; what happened to single ones stays hidden until their
// chunk is released (T3).
type LevelView struct {
	Level    uint8       `json:"level"`
	Tasks    uint64      `json:"tasks"`
	Begun    uint64      `json:"begun"`    // handed out at least once
	Released uint64      `json:"released"` // final
	Failed   uint64      `json:"failed"`   // of the released ones: the attempts ran out
	Errors   uint64      `json:"errors"`   // of the released ones: the program ended with an error or a trap
	Sealed   uint64      `json:"sealed"`   // of the released ones: their results and evidence are in sheaves
	Root     task.Digest `json:"root,omitzero"`
	Evidence task.Digest `json:"evidence,omitzero"` // root over the sheaves' digests, once all tasks are sealed
}

// Progress is what only the publisher sees while a job runs.
type Progress struct {
	Level    uint8  `json:"level"`    // the current level, which accepted and failed are counted in
	Accepted uint64 `json:"accepted"` // tasks of the current level with an accepted result
	Failed   uint64 `json:"failed"`   // tasks of the current level that ended failed
	Attempts uint64 `json:"attempts"` // handed out, all levels
	Returned uint64 `json:"returned"` // that brought a result, all levels
	Wrong    uint64 `json:"wrong"`    // that brought a wrong one, all levels
	Credit   int64  `json:"credit"`   // granted, all levels
}

// ResultPage is GET /v1/jobs/{id}/levels/{level}/results?from=N&limit=M: the
// results of released tasks, in order.
type ResultPage struct {
	Results []ResultView `json:"results"`
	Next    uint64       `json:"next"` // where the next page begins
	Done    bool         `json:"done"` // this was the last page
}

// Verdicts of a ResultView.
const (
	VerdictAccepted = "accepted"
	VerdictFailed   = "failed"
)

// ResultView is the released result of one task.
type ResultView struct {
	Index    uint64          `json:"index"`
	Verdict  string          `json:"verdict"`
	Why      string          `json:"why,omitempty"` // of a failed task
	Exit     task.Exit       `json:"exit"`
	Ended    string          `json:"ended"`           // the exit in words
	Output   task.Digest     `json:"output,omitzero"` // digest of the list of files
	Work     uint64          `json:"work"`
	Attempts int             `json:"attempts"` // handed out
	Agreed   int             `json:"agreed"`   // results equal to the accepted one
	Wrong    int             `json:"wrong"`    // results that were not
	Files    task.OutputList `json:"files,omitempty"`
}

// AttemptPage is GET /v1/jobs/{id}/levels/{level}/attempts?from=N&limit=M: all
// attempts at released tasks, in the order of the tasks.
type AttemptPage struct {
	Attempts []AttemptView `json:"attempts"`
	Next     uint64        `json:"next"` // the task at which the next page begins
	Done     bool          `json:"done"`
}

// AttemptView is one attempt at a released task.
type AttemptView struct {
	Index    uint64         `json:"index"`
	Attempt  task.AttemptID `json:"attempt"`
	Host     task.Key       `json:"host"`
	HostName string         `json:"host_name"`
	State    string         `json:"state"` // valid, wrong, reported, expired, returned, dropped
	Exit     task.Exit      `json:"exit"`
	Output   task.Digest    `json:"output,omitzero"`
	Work     uint64         `json:"work"`
	Credit   int64          `json:"credit"`
}

// HostView is one element of GET /v1/hosts. Its counts move at release.
type HostView struct {
	Host    task.Key    `json:"host"`
	Name    string      `json:"name"`
	Account string      `json:"account"`
	OS      string      `json:"os"`
	Arch    string      `json:"arch"`
	Cores   uint16      `json:"cores"`
	Seen    task.Millis `json:"seen_ms"`
	Valid   uint64      `json:"valid"`
	Wrong   uint64      `json:"wrong"`
	Credit  int64       `json:"credit"`
}

// ProjectView is one element of GET /v1/projects.
type ProjectView struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Owner       task.Key `json:"owner"`
	Credit      int64    `json:"credit"` // granted to its volunteers and final
}
