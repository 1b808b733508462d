package blobs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/storage"
)

// Memory is used again after its last user, and never if one of them failed with it.
func TestLentMemory(t *testing.T) {
	for _, failed := range []error{nil, io.ErrClosedPipe} {
		m := borrow()
		_, _ = m.Write([]byte("content"))
		m.use()
		m.done(nil)
		for range 100 {
			other := borrow()
			_, _ = other.Write([]byte("another"))
			defer other.done(nil)
		}
		if got, err := io.ReadAll(m.reader()); err != nil || string(got) != "content" {
			t.Errorf("%q, %v", got, err)
		}
		if m.done(failed); (m.bytes == nil) != (failed == nil) {
			t.Errorf("after %v: given back is %v", failed, m.bytes == nil)
		}
	}
}

// Many parcels on their way at the same time, to a peer that answers before it has
// read them, for callers who go away, and to one that takes them: what arrives is
// what was sent.
func TestParcelsTravelAtTheSameTime(t *testing.T) {
	const size = 50_000
	taken := 0
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		letter := r.Header.Get(headerMembers)
		if letter == "refuse" {
			w.WriteHeader(http.StatusInsufficientStorage)
			return
		}
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller went away
		}
		_, payload, err := wire.Open(sent, maxBatch)
		var b batch
		if err == nil {
			err = wire.Unmarshal(payload, &b)
		}
		if err != nil || len(b.Blobs) != 1 || !bytes.Equal(b.Blobs[0].Bytes, bytes.Repeat([]byte(letter), size)) {
			t.Errorf("%s: something else came, %d blobs (%v)", letter, len(b.Blobs), err)
		}
		mu.Lock()
		defer mu.Unlock()
		taken++
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	var senders sync.WaitGroup
	for _, letter := range []string{"a", "b", "c", "d", "e", "f"} {
		senders.Go(func() {
			for i := range 60 {
				parcel := NewParcel([]storage.Small{storage.SmallOf(bytes.Repeat([]byte(letter), size))})
				peer := &remotePeer{url: server.URL, changes: letter, http: server.Client()}
				ctx, cancel := context.WithCancel(t.Context())
				switch i % 3 {
				case 1:
					peer.changes = "refuse"
				case 2:
					go cancel()
				}
				err := peer.PutBatch(ctx, Outputs, parcel)
				parcel.done(err)
				if i%3 == 1 && !errors.Is(err, storage.ErrNoSpace) || i%3 == 0 && err != nil {
					t.Errorf("%s, %d: %v", letter, i, err)
				}
				cancel()
			}
		})
	}
	senders.Wait()
	if taken < 6*20 {
		t.Errorf("%d parcels were taken, want at least 120", taken)
	}
}
