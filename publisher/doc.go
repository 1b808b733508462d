// Package publisher is what a publisher's commands share: it reads job files,
// plans what a submission uploads and signs, builds and checks the indexes of
// jobs that are split by lines, lays fetched results out as a folder, and
// verifies such a folder offline.
//
//   - Load reads a job file, and JobFile.Plan turns it into a specification
//     with the blobs that it names; LoadProgram makes of a compiler's output
//     what is shipped.
//   - BuildLineIndex cuts a file into tasks; CheckLineIndex is how a
//     coordinator makes sure that a publisher did it right.
//   - Fetch writes a job's results into a folder, from any Source.
//   - Verify recomputes everything that such a folder says, with nothing but
//     the folder.
//
// It promises that inputs and outputs of any size pass through a small buffer;
// that nothing a coordinator answers is believed before it was checked, nor
// written outside of the folder; and that Fetch can be interrupted anywhere, by
// a full disk or a power cut too, and be repeated. (Outputs are not forced to
// the disk one by one, as there may be a million: after a power cut Verify
// names what is missing, and Fetch brings it.) Only Fetch starts goroutines,
// and they have ended when it returns. The package opens no connection, holds
// no key, and never deletes what it did not write.
//
// # A fetched folder
//
//	manifest.json          what was fetched: Manifest as JSON
//	spec.bin               the job's specification, as it was submitted
//	results-0.ndjson       the results of level 0: one ResultLine a line, in
//	                       task order; results-1.ndjson and so on for the
//	                       levels of a reduction
//	tasks/0000000007/      the outputs of task 7 of level 0: stdout, stderr,
//	                       out/...; only what is not empty is there, and
//	                       tasks without any output have no folder
//	stdout                 with "collect: concat": the standard outputs of all
//	                       tasks of level 0, one after the other in task
//	                       order; they are then not under tasks/
//	reduced/               with a reduction: the outputs of its last level
//
// Of the levels between, only the results are kept. While Fetch runs there
// are also .lock, .parts/ and stdout.part.
//
// # What protects which byte
//
// A job's result root is an RFC 6962 tree over the results of level 0, its
// reduce root one over those of the last level. A leaf holds a task's number,
// how it ended, and the digest of its list of outputs, which holds the name,
// the size and the SHA-256 of each. So these, and every byte of every output,
// follow from the two roots. The manifest names the digests of spec.bin and of
// each file of results, and ends with a checksum of itself, so no byte of the
// folder can change by accident and stay unnoticed.
//
// Against somebody who changes the folder on purpose, and computes the
// checksums anew, it protects only what follows from roots that are known from
// elsewhere (VerifyOptions). These do not: in the manifest the cluster, the
// job, its name, project and publisher, its state, and the specification (with
// spec.bin); in a line of results work, attempts, agreed, wrong and why.
//
// Files that desktops leave behind (.DS_Store, Thumbs.db, desktop.ini) are
// neither refused nor verified.
package publisher
