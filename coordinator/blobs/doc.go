// Package blobs keeps a cluster's blobs on a majority of its coordinators.
//
// A Store stands before one node's own stores. What it has accepted survives
// the loss of any minority of nodes (R1): Put returns when a majority has the
// blob on disk, its own node included. Reading a blob that this node lacks, or
// finds damaged, fetches it from a peer and keeps it.
//
// There are two areas. Public blobs are programs, inputs and indexes: whoever
// knows the digest may read them. Outputs are results that hosts returned;
// nobody but the coordinators reads them here, so that no host can learn
// whether somebody has returned the same before (T3).
//
// Handler serves peers; whoever mounts it lets nobody else through. A Store starts goroutines only inside its calls; a call returns when
// a majority has answered, and what is still on its way to slower peers goes
// on for a bounded time (pushTime). Close waits for it.
package blobs
