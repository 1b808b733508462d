package partial_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/partial"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

func open(t *testing.T, path string) *partial.Store {
	t.Helper()
	s, err := partial.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func owner(b []byte) partial.Owner {
	return partial.Owner{Area: "blobs", Key: task.Key{1}, Digest: task.Sum(b), Size: int64(len(b))}
}

func length(t *testing.T, s *partial.Store, o partial.Owner, want int64) {
	t.Helper()
	if n, err := s.Length(o); n != want || err != nil {
		t.Errorf("%d bytes are here (%v), want %d", n, err, want)
	}
}

// An upload that breaks off, and whose process ends, goes on where it stopped.
func TestGoesOnWhereItStopped(t *testing.T) {
	path := t.TempDir()
	s := open(t, path)
	b := storagetest.Random(3<<20+77, 1)
	o := owner(b)
	var broken error
	at := int64(0)
	for i, to := range []int{0, 1, 300_000, 300_000, 1 << 20, 3 << 20} {
		if broken = errors.New("connection reset"); i%2 == 1 {
			broken = io.ErrUnexpectedEOF
		}
		r := io.MultiReader(bytes.NewReader(b[at:to]), iotest.ErrReader(broken))
		got, err := s.Append(t.Context(), o, at, r)
		if got != int64(to) || !errors.Is(err, storage.ErrSource) || !errors.Is(err, broken) {
			t.Fatalf("broken at %d: %d bytes, %v", to, got, err)
		}
		at = got
		s = open(t, path)
		length(t, s, o, at)
	}
	if _, err := s.Append(t.Context(), o, at-1, bytes.NewReader(b[at-1:])); !errors.Is(err, partial.ErrOffset) {
		t.Errorf("at the wrong byte: %v, want ErrOffset", err)
	}
	if n, err := s.Append(t.Context(), o, at, bytes.NewReader(b[at:])); n != o.Size || err != nil {
		t.Errorf("the rest: %d bytes, %v", n, err)
	}
	full := errors.New("no room at the moment")
	if err := s.Finish(o, func(io.Reader) error { return full }); !errors.Is(err, full) {
		t.Errorf("finish: %v", err)
	}
	length(t, s, o, o.Size) // it is only to be stored again
	var got []byte
	err := s.Finish(o, func(r io.Reader) (err error) {
		got, err = io.ReadAll(r)
		return err
	})
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("finished with %d bytes, %v", len(got), err)
	}
	length(t, s, o, 0)
	if err := s.Finish(o, func(io.Reader) error { return nil }); !errors.Is(err, partial.ErrOffset) {
		t.Errorf("finished twice: %v, want ErrOffset", err)
	}
}

func TestBytesThatAreNotTheBlobsAreForgotten(t *testing.T) {
	s := open(t, t.TempDir())
	o := owner([]byte("what was promised"))
	if _, err := s.Append(t.Context(), o, 0, bytes.NewReader(make([]byte, o.Size+1))); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("more than announced: %v, want ErrMismatch", err)
	}
	length(t, s, o, 0)
	if _, err := s.Append(t.Context(), o, 0, bytes.NewReader(make([]byte, o.Size))); err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(o, func(io.Reader) error { return storage.ErrMismatch }); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("finish: %v", err)
	}
	length(t, s, o, 0)
}

// T3: nobody learns from another's upload, or can disturb it.
func TestUploadsAreTheirOwners(t *testing.T) {
	s := open(t, t.TempDir())
	b := []byte("secret until released")
	mine := owner(b)
	if _, err := s.Append(t.Context(), mine, 0, bytes.NewReader(b[:5])); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*partial.Owner){
		"key": func(o *partial.Owner) { o.Key[0]++ }, "area": func(o *partial.Owner) { o.Area = "outputs" },
		"size": func(o *partial.Owner) { o.Size++ }, "digest": func(o *partial.Owner) { o.Digest[0]++ },
	} {
		other := mine
		change(&other)
		if n, err := s.Length(other); n != 0 || err != nil {
			t.Errorf("another %s sees %d bytes (%v)", what, n, err)
		}
	}
	length(t, s, mine, 5)
}

// A sender whose old connection hangs does not wait for it.
func TestTheNewestSenderWins(t *testing.T) {
	s := open(t, t.TempDir())
	b := storagetest.Random(1<<20, 1)
	o := owner(b)
	hanging, feed := io.Pipe()
	old := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), o, 0, hanging)
		old <- err
	}()
	if _, err := feed.Write(b[:256<<10]); err != nil { // the whole buffer: it goes to the disk
		t.Fatal(err)
	}
	if _, err := feed.Write(b[256<<10 : 256<<10+1]); err != nil { // and so has been written
		t.Fatal(err)
	}
	at, err := s.Length(o)
	if err != nil || at != 256<<10 {
		t.Fatalf("%d bytes are here (%v)", at, err)
	}
	if n, err := s.Append(t.Context(), o, at, bytes.NewReader(b[at:])); n != o.Size || err != nil {
		t.Errorf("the new sender: %d, %v", n, err)
	}
	_ = feed.Close()
	if err := <-old; !errors.Is(err, partial.ErrTakenOver) {
		t.Errorf("the old sender: %v, want ErrTakenOver", err)
	}
	err = s.Finish(o, func(r io.Reader) error {
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d other bytes, %v", len(got), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestExpire(t *testing.T) {
	path := t.TempDir()
	s := open(t, path)
	a, b := owner([]byte("aaaa")), owner([]byte("bbbb"))
	for _, o := range []partial.Owner{a, b} {
		if _, err := s.Append(t.Context(), o, 0, bytes.NewReader([]byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	now := time.Now()
	if err := os.Chtimes(path+"/"+entries[0].Name(), now, now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.Expire(now.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if entries, err = os.ReadDir(path); err != nil || len(entries) != 1 {
		t.Errorf("%d files are left (%v), want 1", len(entries), err)
	}
}
