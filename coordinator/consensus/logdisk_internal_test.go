package consensus

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// A large file of the log that is deleted has no name from then on, and its room
// is given back by the time the disk is closed.
func TestLogFilesGoInSteps(t *testing.T) {
	dir, disk := t.TempDir(), newOSLogDisk()
	const size = 5*fsutil.ShrinkStep/2 + 1
	name := filepath.Join(dir, "1.wal")
	if err := os.WriteFile(name, bytes.Repeat([]byte{7}, size), 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := disk.Delete(dir, "1.wal"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("the name is still there: %v", err)
	}
	if err := disk.Close(); err != nil {
		t.Error(err)
	}
	if info, err := held.Stat(); err != nil || info.Size() > fsutil.ShrinkStep {
		t.Errorf("%d bytes are left (%v)", info.Size(), err)
	}
	if err := disk.Delete(dir, "1.wal"); !os.IsNotExist(err) {
		t.Errorf("deleting what is not there: %v", err)
	}
}
