package fsutil

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
)

// ErrLocked is wrapped by the error of Lock when somebody holds the lock.
var ErrLocked = errors.New("in use")

// Lock takes the lock that the file at path stands for, and makes the file if
// it is missing. It does not wait: when the lock is held, by another process
// or by another call in this one, the error wraps ErrLocked and says by whom.
//
// The operating system drops the lock when the process ends, however it ends,
// so a file that was left behind locks nobody out. release gives it back
// earlier; calling it again does nothing. The file stays, with the number of
// its last holder in it: removing it would let two processes hold it.
func Lock(path string) (release func() error, err error) {
	f, err := openLocked(path)
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("lock %s: %w by %s", path, ErrLocked, holder(path))
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := writePID(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return sync.OnceValue(f.Close), nil
}

// writePID leaves the process's number for the next one to show. It need not
// reach the disk: after a power cut nobody holds the lock. A full disk is no
// reason not to start: then the next one sees no number.
func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	if IsNoSpace(err) {
		return nil
	}
	return err
}

// holder says who wrote the lock file last.
func holder(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "another process"
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 32))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b)))
	switch {
	case err != nil || pid <= 0:
		return "another process" // it holds the lock but has not written its number yet
	case pid == os.Getpid():
		return "this process itself"
	}
	return "process " + strconv.Itoa(pid)
}
