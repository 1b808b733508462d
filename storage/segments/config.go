package segments

import (
	"errors"
	"fmt"
	"time"
)

const (
	// MaxBlobSize bounds a blob, in bytes.
	MaxBlobSize = 64 << 10

	// MaxSegmentBytes bounds Config.SegmentBytes.
	MaxSegmentBytes = 1 << 30

	minSegmentBytes     = 4 << 10
	defaultSegmentBytes = 64 << 20
)

// Config says where a store is and how much it may hold.
type Config struct {
	// Path is the directory. It is made if it is missing.
	Path string

	// Quota is how many bytes all segments together may have. 0 means no limit
	// but the disk. Compact and the notes about what was dropped may exceed it
	// for a moment, by what one segment holds, since that makes room.
	Quota int64

	// SegmentBytes is the size from which on a segment gets no more blobs: 4 KiB
	// to MaxSegmentBytes. 0 means 64 MiB.
	SegmentBytes int64

	// Quiet is how long Compact leaves a segment alone after some of it was
	// dropped, unless more than half of the quota is used: where blobs go in the
	// order in which they came, all of it goes soon, and copying what is left on
	// the way is work for nothing. 0 means no time.
	Quiet time.Duration
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.Path == "":
		return errors.New("segments: no directory is named")
	case c.Quota < 0:
		return fmt.Errorf("segments %s: a quota of %d bytes", c.Path, c.Quota)
	case c.Quiet < 0:
		return fmt.Errorf("segments %s: segments rest for %s", c.Path, c.Quiet)
	case c.SegmentBytes != 0 && (c.SegmentBytes < minSegmentBytes || c.SegmentBytes > MaxSegmentBytes):
		return fmt.Errorf("segments %s: segments of %d bytes, allowed are %d to %d", c.Path, c.SegmentBytes, minSegmentBytes, MaxSegmentBytes)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = defaultSegmentBytes
	}
	return c
}
