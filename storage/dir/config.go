package dir

import (
	"errors"
	"fmt"

	"github.com/sheafgrid/sheaf/storage"
)

// Config says where a store is and what it may use.
type Config struct {
	// Path is the directory. Open makes it if it is missing.
	Path string

	// Quota bounds the space of all files together, in bytes, each file
	// rounded up to 4 KiB as file systems do. A Put needs room for the blob as
	// if it did not compress. 0 means no limit.
	Quota int64

	// MaxBlob bounds one blob, in bytes. 0 means storage.MaxBlobSize.
	MaxBlob int64

	// Coders is how many chunks are compressed at once, and how many expanded
	// ones are kept for the next reader: about 5 MiB of memory for each, once
	// used. 0 means 8.
	Coders int
}

const defaultCoders = 8

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.Path == "":
		return errors.New("blob store: no directory is named")
	case c.Quota < 0:
		return fmt.Errorf("blob store %s: a quota of %d bytes", c.Path, c.Quota)
	case c.MaxBlob < 0 || c.MaxBlob > storage.MaxBlobSize:
		return fmt.Errorf("blob store %s: a largest blob of %d bytes, allowed are 0 to %d", c.Path, c.MaxBlob, storage.MaxBlobSize)
	case c.Coders < 0 || c.Coders > 1024:
		return fmt.Errorf("blob store %s: %d coders, allowed are 0 to 1024", c.Path, c.Coders)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.MaxBlob == 0 {
		c.MaxBlob = storage.MaxBlobSize
	}
	if c.Coders == 0 {
		c.Coders = defaultCoders
	}
	return c
}
