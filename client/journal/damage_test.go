package journal_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/task"
)

// filled makes a journal whose tree has branches, overflow pages and free
// pages. It returns the file's bytes, and what they say, now and before the
// last change.
func filled(t testing.TB) (file []byte, now, before journal.State) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(j.SetOwner(owner))
	must(j.OpenSession(5, 1000))
	must(j.Sent(request(1)))
	var all []journal.Held
	for id := range task.AttemptID(60) {
		all = append(all, held(id+1))
	}
	must(j.Answered(1, journal.Answer{Accepted: all}))
	for id := range task.AttemptID(20) {
		r := result(id+1, "")
		r.Report.Inline = [][]byte{bytes.Repeat([]byte{byte(id)}, 500*int(id))}
		must(j.Finish(r))
	}
	must(j.Forget(30))
	before, err = j.State()
	must(err)
	must(j.Sent(request(2, 1, 2, 3)))
	now, err = j.State()
	must(err)
	must(j.Close())
	file, err = os.ReadFile(path)
	must(err)
	return file, now, before
}

// tryDamaged opens a damaged journal. It must be refused, or say what it said:
// where the newest of bbolt's two descriptions of the file is gone, what it
// said before the last change.
func tryDamaged(t testing.TB, path string, file []byte, now, before journal.State) (refused bool) {
	t.Helper()
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(path)
	if err != nil {
		if !errors.Is(err, journal.ErrDamaged) && !errors.Is(err, journal.ErrNewer) {
			t.Errorf("got %v, want ErrDamaged", err)
		}
		return true
	}
	defer j.Close()
	s, err := j.State()
	if err != nil {
		t.Errorf("opened, and then: %v", err)
	} else if !reflect.DeepEqual(s, now) && !reflect.DeepEqual(s, before) {
		t.Errorf("a damaged journal says something else")
	}
	if err := j.SetEnrolled(true); err != nil {
		t.Errorf("opened, and cannot be written: %v", err)
	}
	return false
}

// Whatever byte of the file changes, nothing crashes and nothing wrong is read.
func TestDamagedFile(t *testing.T) {
	file, now, before := filled(t)
	path := filepath.Join(t.TempDir(), "journal.db")
	rnd := rand.New(rand.NewPCG(1, 2))
	refused := 0
	const pageSize = 4096
	for n := range 600 {
		bad := bytes.Clone(file)
		at := rnd.IntN(len(bad))
		if n%2 == 0 { // where pages keep their numbers
			at = at/pageSize*pageSize + rnd.IntN(64)
		}
		bad[at] ^= byte(1 + rnd.IntN(255))
		if tryDamaged(t, path, bad, now, before) {
			refused++
		}
		if t.Failed() {
			t.Fatalf("byte %d of %d (page %d, offset %d)", at, len(file), at/pageSize, at%pageSize)
		}
	}
	if refused < 100 {
		t.Errorf("%d of 600 damaged journals were refused: the test does not reach what is in use", refused)
	}
	for _, cut := range []int{1, 100, pageSize, pageSize + 1, 2 * pageSize, 4 * pageSize, len(file) / 2, len(file) - pageSize, len(file) - 1} {
		tryDamaged(t, path, file[:cut], now, before)
	}
	for page := range len(file) / pageSize {
		bad := bytes.Clone(file)
		clear(bad[page*pageSize : (page+1)*pageSize])
		tryDamaged(t, path, bad, now, before)
		other := rnd.IntN(len(file) / pageSize)
		copy(bad[page*pageSize:(page+1)*pageSize], file[other*pageSize:])
		tryDamaged(t, path, bad, now, before)
		if t.Failed() {
			t.Fatalf("page %d, exchanged with page %d", page, other)
		}
	}
}

func FuzzDamagedFile(f *testing.F) {
	file, now, before := filled(f)
	f.Add(uint32(0), uint64(1))
	f.Add(uint32(4096*3+12), uint64(1<<40))
	f.Fuzz(func(t *testing.T, at uint32, change uint64) {
		bad := bytes.Clone(file)
		for i := range 8 {
			bad[(int(at)+i)%len(bad)] ^= byte(change >> (8 * i))
		}
		tryDamaged(t, filepath.Join(t.TempDir(), "j"), bad, now, before)
	})
}
