// Package client is the agent that runs on a volunteer's machine: it enrols the
// machine, takes tasks, runs each in a sandbox of its own, and returns what came
// out.
//
// What to do next is decided by package plan; the agent does it. It promises:
//   - V2: nothing runs that the owner's rules do not allow at that moment, and
//     nothing whose program its publisher did not sign.
//   - T1: before a task runs, its checksum is computed from what will be run and
//     compared with what the coordinator said; every input is verified.
//   - What was accepted or computed is in the journal before anybody hears of
//     it, and goes on after a restart, a kill -9 or a power cut. A request is
//     repeated as the same bytes under the same number until it is answered (R2).
//   - When Run returns, no task runs and no goroutine of it is left.
//
// Goroutines: Run's own decides and is the only one that touches the queue and
// changes the journal; beside it one runs for each download, each task, each
// upload and for the request that is on its way, and each ends by sending one
// event. Status and SetRules may be called from anywhere.
//
// In the data folder it keeps the keys, the journal, a cache of programs and
// inputs, outputs that wait to be uploaded, and a lock. It never writes
// elsewhere, and sends nothing but what package protocol describes.
package client
