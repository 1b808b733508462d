// Package identity keeps the keys of a volunteer or publisher on disk: the
// account's, which is a person or an institution, and the host's, which is one
// machine of that account.
//
// Each is an Ed25519 key in a small text file of its own, made on first use.
// The package promises that a key it returned is on the disk, that a file which
// other users of the machine can read is refused (on Windows the folder's own
// permissions decide), and that a file which was changed or cut short is
// refused rather than taken for another key. Every refusal says what to do.
//
// It starts no goroutine, keeps no state, never overwrites or removes a key,
// and never writes one anywhere else.
package identity
