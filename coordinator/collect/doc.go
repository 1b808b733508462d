// Package collect deletes the blobs that nobody refers to: those of one node
// (Collector), and those in stores that all nodes share (SharedCollector).
//
// What is referred to follows from the replicated state alone: programs that
// were published; inputs, indexes and what a reduction reads, while their job
// runs and for Kept after; sheaves, packs and large accepted outputs, for good;
// outputs that were reported, until their chunk is sealed. Each node walks the
// state it has applied and deletes from its own stores, so the leader has no
// part in it, and nodes that are down or behind do it when they can.
//
// A blob that was put, or asked to be kept, is left alone for Kept of cluster
// time, whoever refers to it: between an upload and the entry that refers to it
// lies the network. Store, which stands before each of a node's stores,
// remembers when that was; what was put before the process began counts as
// though it had been put then. So that the entry cannot come too late, its
// proposer first has a majority Keep what it names, and every such call carries
// its sender's cluster time: a node that lags behind in the log deletes nothing
// that others have only just been promised. A deletion waits for a Put of the
// same blob, and a Put for a deletion, so what a Put has acknowledged is there.
//
// A round during which an index, a pack or a list of outputs cannot be read deletes
// nothing. A round holds about two bytes of memory for each blob that is
// referred to, and reads no faster than Config.Pace; for one blob in some
// thousands, by chance, it takes for referred to what is not, until the process
// begins anew.
//
// Small outputs in segments are not its business: they go when their chunk is
// sealed, and its pack holds those that were accepted.
//
// A shared store is the leader's to look through, in its term. Nobody can hold
// back a deletion there while others ask for the blob, so a blob that was seen
// unused for Kept is first put aside, where whoever asks for it finds it and
// brings it back, and goes when it has been aside for a little longer than
// that: see storage.Shared. What was seen since when is held in memory; what
// was put aside when is in the store. A leader that has been deposed removes
// nothing: it asks a majority before each blob, and a removal is then good for
// storage.AsideWithin, far less than Kept. So a reference that is committed at
// any time during all of this finds its blob, in its place or aside, and the
// next round brings it back.
//
// Run owns its one goroutine, the caller's.
package collect
