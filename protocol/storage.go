package protocol

import "github.com/sheafgrid/sheaf/task"

// PathStorage is where a node says how its own disk stands: StorageView.
const PathStorage = "/v1/storage"

// StorageView says how a node's disk and the blobs on it stand. Counts begin
// with its process.
type StorageView struct {
	Node    task.NodeID `json:"node"`
	Free    int64       `json:"free_bytes"`       // on the disk
	Reserve int64       `json:"reserve_bytes"`    // below which uploads are refused
	Bucket  string      `json:"bucket,omitempty"` // where blobs are that are not on the nodes' disks
	Public  UsageView   `json:"public"`           // programs, inputs, indexes, sheaves
	Outputs UsageView   `json:"outputs"`
	Scrub   ScrubView   `json:"scrub"`
	Collect CollectView `json:"collect"`
}

// UsageView is what some blobs take.
type UsageView struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"` // on the disk
	Quota int64 `json:"quota_bytes"`
}

// ScrubView says what the search for damaged blobs found.
type ScrubView struct {
	Laps     int64    `json:"laps"`
	Blobs    int64    `json:"blobs"`
	Bytes    int64    `json:"bytes"`
	Damaged  int64    `json:"damaged"`
	Repaired int64    `json:"repaired"`
	Lost     []string `json:"lost,omitempty"` // area/digest, the last few
	Area     string   `json:"area,omitempty"` // where it is
	Percent  int      `json:"percent"`        // of that area
	Pace     int64    `json:"bytes_per_second"`
}

// CollectView says what the search for unused blobs found.
type CollectView struct {
	Rounds int64       `json:"rounds"`
	Time   task.Millis `json:"time_ms"` // cluster time of the last one
	Took   int64       `json:"took_ms"`
	Blobs  int64       `json:"deleted"`
	Bytes  int64       `json:"deleted_bytes"`
	Failed string      `json:"failed,omitempty"` // why the last one deleted nothing, or not everything

	// In a bucket, by this node while it led.
	Aside      int64 `json:"put_aside,omitempty"` // blobs, to be deleted a day later
	AsideBytes int64 `json:"put_aside_bytes,omitempty"`
	Unfinished int64 `json:"unfinished,omitempty"` // uploads that had not gone on for a day
}
