package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// liar is a store with one blob, of which it tells what it likes.
type liar struct {
	storage.Blobs
	bytes  []byte
	size   int64
	readAt error
	close  error
}

func (l *liar) Open(context.Context, task.Digest) (storage.Blob, error) { return l, nil }
func (l *liar) Size() int64                                             { return l.size }
func (l *liar) Close() error                                            { return l.close }

func (l *liar) ReadAt(p []byte, off int64) (int, error) {
	if l.readAt != nil {
		return 0, l.readAt
	}
	return bytes.NewReader(l.bytes).ReadAt(p, off)
}

func TestReadAllBelievesNothing(t *testing.T) {
	b := bytes.Repeat([]byte("sheaf"), storage.ChunkSize/2)
	broken := errors.New("broken")
	for _, c := range []struct {
		name  string
		liar  liar
		limit int64
		want  error
	}{
		{"honest", liar{bytes: b, size: int64(len(b))}, int64(len(b)), nil},
		{"too large", liar{bytes: b, size: int64(len(b))}, int64(len(b)) - 1, storage.ErrTooLarge},
		{"other bytes", liar{bytes: bytes.ToUpper(b), size: int64(len(b))}, 1 << 30, storage.ErrCorrupt},
		{"fewer bytes", liar{bytes: b[1:], size: int64(len(b))}, 1 << 30, storage.ErrCorrupt},
		{"a part of the bytes", liar{bytes: b, size: int64(len(b)) - 1}, 1 << 30, storage.ErrCorrupt},
		{"a huge size", liar{bytes: b, size: 1 << 40}, 1 << 40, storage.ErrCorrupt},
		{"a negative size", liar{bytes: b, size: -1}, 1 << 40, storage.ErrMismatch},
		{"broken reads", liar{bytes: b, size: int64(len(b)), readAt: broken}, 1 << 30, broken},
		{"broken close", liar{bytes: b, size: int64(len(b)), close: broken}, 1 << 30, broken},
	} {
		got, err := storage.ReadAll(t.Context(), &c.liar, task.Sum(b), c.limit)
		if !errors.Is(err, c.want) || (err == nil) != bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes, %v, want %v", c.name, len(got), err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := storage.ReadAll(ctx, &liar{bytes: b, size: int64(len(b))}, task.Sum(b), 1<<30); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestBodyInPieces(t *testing.T) {
	text := strings.Repeat("one two three ", 100)
	for _, size := range []int{1, 7, 1399, 1400, 1401, 5000} {
		body := storage.NewBody(task.Sum([]byte(text)), int64(len(text)), iotest.OneByteReader(strings.NewReader(text)))
		buf, got := make([]byte, size), ""
		for {
			part, err := body.Next(t.Context(), buf)
			if err == io.EOF {
				break
			}
			if err != nil || len(part) != min(size, len(text)-len(got)) {
				t.Fatalf("pieces of %d: %d bytes, %v", size, len(part), err)
			}
			got += string(part)
		}
		if got != text {
			t.Errorf("pieces of %d: got %d other bytes", size, len(got))
		}
		for range 2 { // it says the same again
			if _, err := body.Next(t.Context(), buf); err != io.EOF {
				t.Errorf("pieces of %d: %v after the end, want EOF", size, err)
			}
		}
	}
}

// An EOF that some layer wrapped is a failure, not the end.
func TestBodyWithWrappedEOF(t *testing.T) {
	wrapped := errors.Join(errors.New("proxy hung up"), io.EOF)
	for _, text := range []string{"", "abc"} {
		r := io.MultiReader(strings.NewReader(text), iotest.ErrReader(wrapped))
		body := storage.NewBody(task.Sum([]byte(text)), int64(len(text)), r)
		var err error
		for err == nil {
			_, err = body.Next(t.Context(), make([]byte, 10))
		}
		if err == io.EOF || !errors.Is(err, storage.ErrSource) {
			t.Errorf("%q: %v, want ErrSource", text, err)
		}
	}
}
