package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// collected takes everything.
type collected struct {
	blobs map[task.Digest]string
	state string
}

func (c *collected) Small(_ context.Context, _ Area, b storage.Small) error {
	c.blobs[b.Digest] = string(b.Bytes)
	return nil
}

func (c *collected) Large(_ context.Context, _ Area, d task.Digest, size int64, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err == nil && int64(len(b)) != size {
		err = io.ErrUnexpectedEOF
	}
	c.blobs[d] = string(b)
	return err
}

func (c *collected) Snapshot(_ context.Context, _ uint64, _ int64, r io.Reader) error {
	b, err := io.ReadAll(r)
	c.state = string(b)
	return err
}

// sizes are blobs that go into packs, into parts, and just so.
func sizes() []string {
	return []string{"", "small", strings.Repeat("x", maxPacked), strings.Repeat("y", maxPacked+1), strings.Repeat("large", 600_000), "last"}
}

// written is a backup with some blobs.
func written(t testing.TB, texts []string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "b")
	w, err := openWriter(context.Background(), path, task.ClusterID{7})
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		if err := w.small(blobKey{Public + Area(i%2), task.Sum([]byte(text)), uint64(i)}, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	wrong := func(to io.Writer) error { _, err := io.WriteString(to, strings.Repeat("z", 3<<20)); return err }
	if err := w.large(Outputs, task.Digest{1}, 3<<20, wrong); !errors.Is(err, storage.ErrMismatch) {
		t.Fatalf("a blob of another digest: got %v, want ErrMismatch", err)
	}
	if err := w.complete(task.Digest{9}); err != nil {
		t.Fatal(err)
	}
	m, err := w.finish(Manifest{Index: 5, Now: 6}, 8, strings.NewReader("snapshot"))
	if err == nil {
		err = errors.Join(w.name(), w.close())
	}
	if err != nil || m.Public+m.Outputs != int64(len(texts)) || m.Index != 5 {
		t.Fatalf("manifest %+v, %v", m, err)
	}
	return path
}

func TestBackupIsReadAsWritten(t *testing.T) {
	texts := sizes()
	path := written(t, texts)
	got := &collected{blobs: map[task.Digest]string{}}
	if m, err := Read(t.Context(), path, got); err != nil || m.Cluster != (task.ClusterID{7}) {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, text := range texts {
		if b, ok := got.blobs[task.Sum([]byte(text))]; !ok || b != text {
			t.Errorf("a blob of %d bytes came as one of %d", len(text), len(b))
		}
	}
	if got.state != "snapshot" || len(got.blobs) != len(texts) {
		t.Errorf("state %q, %d blobs; want snapshot and %d", got.state, len(got.blobs), len(texts))
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("besides the backup there are %v, %v", files, err)
	}
}

// An error of whoever reads is his own, and no damage.
func TestVisitorsErrorIsItsOwn(t *testing.T) {
	path := written(t, sizes())
	mine := errors.New("mine")
	if _, err := Read(t.Context(), path, failing{mine}); !errors.Is(err, mine) || errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Small(context.Context, Area, storage.Small) error { return nil }
func (f failing) Large(_ context.Context, _ Area, _ task.Digest, _ int64, r io.Reader) error {
	_, _ = r.Read(make([]byte, 10))
	return f.err
}
func (f failing) Snapshot(context.Context, uint64, int64, io.Reader) error { return f.err }

func FuzzReader(f *testing.F) {
	path := written(f, []string{"a", "bb"})
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := newReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.run(context.Background(), &collected{blobs: map[task.Digest]string{}})
		if err != nil && !errors.Is(err, ErrCut) && !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})
}
