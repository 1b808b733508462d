// Package remote speaks to the coordinators of a cluster over HTTP, for
// volunteers and publishers alike.
//
// It promises:
//   - It knows the cluster's members, learns of changes from every answer, and
//     turns to another one when one does not answer.
//   - A request is sent again as the same bytes (R2), an upload and a download
//     from where that makes sense, later and later and with jitter, until it is
//     answered, refused for good, or the caller's context ends.
//   - What comes back meets a limit on its size and a validator before it is
//     believed. Refusals are *protocol.Error.
//   - A wrong address gets a sentence that says what is wrong with it: no URL,
//     nobody there, no coordinator, another cluster.
//
// Its methods may be called from any goroutine. Besides those of net/http it
// starts one goroutine for each compressed upload, which ends with it. It keeps
// nothing on disk, and never sends a key or a file that it was not asked to.
package remote
