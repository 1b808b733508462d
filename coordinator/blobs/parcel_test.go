package blobs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/storage"
)

// opened is what a parcel says to a peer.
func opened(t *testing.T, frame []byte) string {
	t.Helper()
	_, payload, err := wire.Open(frame, maxBatch)
	var b batch
	if err == nil {
		err = wire.Unmarshal(payload, &b)
	}
	if err != nil || len(b.Blobs) != 1 {
		t.Fatalf("%v, %d blobs", err, len(b.Blobs))
	}
	return string(b.Blobs[0].Bytes)
}

// The memory of a parcel is used again only when nobody reads it any more, and one
// who closed his reader reads nothing.
func TestParcelIsNotUsedAgainTooSoon(t *testing.T) {
	p := NewParcel(small("first"))
	slow, gone := p.open(), p.open()
	if err := errors.Join(gone.Close(), gone.Close()); err != nil {
		t.Fatal(err)
	}
	p.done()
	for range 100 {
		other := NewParcel(small("other"))
		defer other.done()
	}
	got, err := io.ReadAll(slow)
	if err != nil || opened(t, got) != "first" {
		t.Errorf("%q, %v", got, err)
	}
	if err := slow.Close(); err != nil || p.bytes != nil {
		t.Errorf("after the last use: %v, memory %v", err, p.bytes)
	}
	if n, err := gone.WriteTo(io.Discard); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("wrote %d bytes of what was closed: %v", n, err)
	}
	if n, err := gone.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("read %d bytes of what was closed: %v", n, err)
	}
}

// Many parcels on their way at the same time, to a peer that answers before it has
// read, to one whose callers go away, and to one that reads: what arrives is whole.
func TestParcelsTravelAtTheSameTime(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("read") == "" {
			w.WriteHeader(http.StatusInsufficientStorage)
			return
		}
		b, err := io.ReadAll(r.Body)
		if err == nil && opened(t, b) != string(bytes.Repeat([]byte(r.URL.Query().Get("read")), 50_000)) {
			t.Errorf("%s: other bytes came", r.URL)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	var senders sync.WaitGroup
	for _, letter := range []string{"a", "b", "c", "d", "e", "f"} {
		senders.Go(func() {
			for i := range 50 {
				p := NewParcel([]storage.Small{storage.SmallOf(bytes.Repeat([]byte(letter), 50_000))})
				url := server.URL
				if i%3 > 0 {
					url += "?read=" + letter
				}
				ctx, cancel := context.WithCancel(t.Context())
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, p.open())
				if err != nil {
					t.Error(err)
				}
				req.ContentLength = p.size()
				if i%3 == 1 {
					go cancel()
				}
				if res, err := server.Client().Do(req); err == nil {
					_ = res.Body.Close()
				}
				p.done()
				cancel()
			}
		})
	}
	senders.Wait()
}
