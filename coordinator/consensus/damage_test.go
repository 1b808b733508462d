package consensus_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
)

// logFileOf is the one file of a small log.
func logFileOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "log", "*.wal"))
	if err != nil || len(files) != 1 {
		t.Fatalf("log files: %v, %v", files, err)
	}
	return files[0]
}

// written is how much of a log file is not zeroes.
func written(b []byte) int {
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return n
}

// Whatever bit flips in the log, the node does not start, and says where; and so
// says the inspection. Only in what was written last it may be taken for a write
// that was interrupted, unless the mark knows better: here it does.
func TestEveryFlippedBitInTheLogIsFound(t *testing.T) {
	dir := t.TempDir()
	want := fill(t, dir)
	path := logFileOf(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	in, err := consensus.Inspect(dir, 0)
	if err != nil || len(in.Damage) > 0 || in.State.Digest() != want || in.Index != in.Last || in.Reached != in.Last || in.Torn != 0 {
		t.Fatalf("an undamaged folder: %+v, %v; want the state %s", in, err, want.Short())
	}
	for at, n := 0, 0; at < written(whole); at, n = at+13, n+1 {
		b := append([]byte(nil), whole...)
		b[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := consensus.Inspect(dir, 0)
		if err != nil || len(in.Damage) == 0 || !errors.Is(in.Damage[0], consensus.ErrDamaged) {
			t.Fatalf("byte %d: inspected %+v, %v", at, in, err)
		}
		if n%8 > 0 {
			continue // starting takes longer
		}
		if _, err := openOne(t, dir); !errors.Is(err, consensus.ErrDamaged) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("byte %d: started with %v", at, err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(b) {
			t.Fatalf("byte %d: the damaged log was changed, %v", at, err)
		}
	}
}

// A log that was cut off behind what was acknowledged looks like a write that
// was interrupted. The mark tells it from one.
func TestCutLogIsFound(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	path := logFileOf(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Cut so that the last entry is gone, and then so that all are.
	for _, n := range []int{written(whole) - 1, 0} {
		b := append([]byte(nil), whole...)
		clear(b[n:])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openOne(t, dir)
		if !errors.Is(err, consensus.ErrDamaged) || !strings.Contains(err.Error(), "is lost") {
			t.Errorf("cut to %d bytes: started with %v", n, err)
		}
		if in, err := consensus.Inspect(dir, 0); err != nil || len(in.Damage) == 0 {
			t.Errorf("cut to %d bytes: inspected %+v, %v", n, in, err)
		}
	}
	// What was never acknowledged may go.
	torn := append([]byte(nil), whole...)
	copy(torn[(written(whole)+7)&^7:], []byte{1, 0, 0, 0, 200, 0, 0, 0, 'x'})
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := consensus.Inspect(dir, 0)
	if err != nil || len(in.Damage) > 0 || in.Torn == 0 {
		t.Errorf("with a torn write: inspected %+v, %v", in, err)
	}
	n, err := openOne(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	use(t, n, func() {})
}

// A damaged mark, or none, says nothing: the log alone is enough.
func TestMarkMayBeLost(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	mark := filepath.Join(dir, "reached")
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	for i := 8; i < len(b); i += 32 {
		b[i]++
	}
	if err := os.WriteFile(mark, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n, err := openOne(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		use(t, n, func() {})
		if err := os.Remove(mark); err != nil {
			t.Fatal(err)
		}
	}
}
