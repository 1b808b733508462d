package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/protocol"
)

// advice is what to do about an error of the file system, wherever it came
// from; "" where its own text must do.
func advice(err error) string {
	switch {
	case fsutil.IsNoSpace(err) && !strings.Contains(err.Error(), "free some space"):
		return "the disk is full: free some space and run the same command again, or choose a folder on another disk"
	case errors.Is(err, syscall.EROFS):
		return "nothing can be written there: choose another folder"
	case errors.Is(err, fs.ErrPermission):
		return "you may not write, or read, there: choose a folder of your own"
	}
	return ""
}

// inRange refuses a flag's value that cannot be meant.
func inRange(flag string, n, least, most int64, unit string) error {
	if n >= least && n <= most {
		return nil
	}
	if unit != "" {
		unit = " " + unit
	}
	return failure{fmt.Errorf("%s %d: want %d to %d%s", flag, n, least, most, unit), exitUsage}
}

// ownFolder refuses a data folder that belongs to the other kind of process:
// each would take the other's files for its own. mark is a file that only that
// kind makes.
func ownFolder(dir, mark, whose string) error {
	if _, err := os.Stat(filepath.Join(dir, mark)); err != nil {
		return nil // what cannot be seen is not there; using the folder tells more
	}
	return fmt.Errorf("data folder %s is that of %s; give another one with --data DIR", dir, whose)
}

// The files by which ownFolder tells whose a folder is.
const (
	coordinatorMark = "node.json"
	clientMark      = "host.key"
)

// ifNotFound adds advice where what was named does not exist.
func ifNotFound(err error, advice string) error {
	if err == nil || !protocol.HasCode(err, protocol.CodeNotFound) {
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}

// seeJobs is what to do where a job does not exist.
const seeJobs = "see which there are with: sheaf job list"
