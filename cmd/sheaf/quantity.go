package main

import (
	"fmt"
	"strconv"

	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

// workFlag is counted instructions, written as in a job file: 1000000, 20M, 1G.
type workFlag uint64

// UnmarshalText reads the flag's value.
func (w *workFlag) UnmarshalText(b []byte) error {
	n, err := publisher.ParseWork(string(b))
	*w = workFlag(n)
	return err
}

// sizeFlag is bytes, written as in a job file, such as 64MiB; a plain number
// is MiB.
type sizeFlag uint64

// UnmarshalText reads the flag's value.
func (f *sizeFlag) UnmarshalText(b []byte) (err error) {
	var n uint64
	if mib, plain := strconv.ParseUint(string(b), 10, 64); plain == nil {
		if n = mib << 20; n>>20 != mib {
			return fmt.Errorf("%s MiB is out of range", b)
		}
	} else if n, err = publisher.ParseBytes(string(b)); err != nil {
		return err
	}
	*f = sizeFlag(n)
	return nil
}

// String is the size as the flag takes it.
func (f sizeFlag) String() string {
	switch n := uint64(f); {
	case n%(1<<20) == 0:
		return strconv.FormatUint(n>>20, 10)
	case n%(1<<10) == 0:
		return strconv.FormatUint(n>>10, 10) + "KiB"
	default:
		return strconv.FormatUint(n, 10) + "B"
	}
}

// checkMemory refuses memory that no task may have.
func (f sizeFlag) checkMemory() error {
	if f == 0 || uint64(f) > task.MaxMemory || f%task.WasmPage != 0 {
		return failure{fmt.Errorf("--memory %s: want 1 to %d MiB, or 64KiB and its multiples", f, task.MaxMemory>>20), exitUsage}
	}
	return nil
}
