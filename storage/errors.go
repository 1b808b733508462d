package storage

import "errors"

// What a store answers. Each error that wraps one of these names the blob.
var (
	// ErrNotFound: the store does not have the blob.
	ErrNotFound = errors.New("blob not found")

	// ErrCorrupt: what is stored fails its checksum. The blob is lost here and
	// must come from elsewhere; a Put of it mends it.
	ErrCorrupt = errors.New("stored blob is damaged")

	// ErrMismatch: the bytes given are not those that the size and the digest
	// promise. The sender is at fault.
	ErrMismatch = errors.New("bytes do not match their digest")

	// ErrTooLarge: the blob is larger than the store, or the caller, accepts.
	ErrTooLarge = errors.New("blob is too large")

	// ErrNoSpace: the disk is full or the quota used up. It passes when blobs
	// are deleted; reading goes on meanwhile.
	ErrNoSpace = errors.New("no space left for blobs")

	// ErrUnavailable: the store is elsewhere and does not answer, or refuses to.
	// It may pass; nothing that was stored is lost.
	ErrUnavailable = errors.New("blobs are out of reach")

	// ErrSource: the reader given to Put failed. The store is not at fault.
	ErrSource = errors.New("blob could not be read from its source")
)
