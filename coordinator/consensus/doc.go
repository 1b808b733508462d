// Package consensus keeps the coordinators' states equal: it is everything
// that Sheaf does with hashicorp/raft, and nothing else imports that.
//
// A Node owns one replica of the state. Commands go in through Propose on the
// leader, many to a log entry, and come back applied; anyone reads through
// View. The leader stamps each entry with cluster time, which never goes back
// (R5). While a node leads, and has caught up with all earlier entries, it
// runs Config.Lead.
//
// What cannot be repaired here ends the node: an entry or snapshot that cannot
// be decoded (R4), any error of the log or of the disk under it, a write that
// hangs. Run then returns the error, naming the thing; the process is to exit,
// and its supervisor to start it again. Nothing is acknowledged after such an
// error.
//
// Goroutines: those of raft; and, inside Run, one that batches proposals, one
// that delivers their results in order, one that follows the leadership, one
// that watches the disk, and one that asks for snapshots; and now and then one
// that computes a digest of the state.
package consensus
