// Package loadgen loads a cluster as many volunteers at once would, as fast as
// the cluster takes it or at a steady pace, and then accounts for every task.
//
// Each simulated host has an account, a key and a session of its own, signs and
// numbers its requests (R2), and has one request on its way at a time. It runs
// no program: its output follows from a task's checksum, so that honest hosts
// agree. It keeps a receipt of every report that it was told is accepted;
// Audit compares the receipts with what the cluster shows of released tasks
// (R1, C1).
//
// The cost of a load counts against what is measured with it, so the loop of a
// host is made by hand: one connection, direct to the leader, HTTP and msgpack
// written and read in buffers that are used again. Tests compare both with
// package protocol's own.
//
// Run and Drain own one goroutine a host until they return; nothing else here
// starts one. The package writes no file and obeys no pause: it is no
// volunteer.
package loadgen
