package remote_test

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// beginnings is a coordinator that keeps what arrives of an upload, and breaks
// connections after so many bytes of each.
type beginnings struct {
	t          *testing.T
	breakAfter int64
	got        []byte
	came       int64 // bytes that were sent, those that were sent twice included
	stored     bool
}

func (s *beginnings) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.Atoi(r.Header.Get(protocol.HeaderSize))
	if err != nil {
		s.t.Errorf("an upload in parts without its size: %v", err)
	}
	offset := r.Header.Get(protocol.HeaderOffset)
	if offset == protocol.OffsetUnknown {
		w.Header().Set(protocol.HeaderOffset, strconv.Itoa(len(s.got)))
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if offset != strconv.Itoa(len(s.got)) {
		s.t.Errorf("it goes on at %s, %d bytes are here", offset, len(s.got))
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, s.breakAfter))
	s.got, s.came = append(s.got, b...), s.came+int64(len(b))
	if err == nil && len(s.got) == size {
		s.stored = true
		w.WriteHeader(http.StatusNoContent)
		return
	}
	panic(http.ErrAbortHandler)
}

// A large upload that breaks off again and again is sent once, not anew each
// time.
func TestLargeUploadGoesOnWhereItStopped(t *testing.T) {
	b, digest := content(10 << 20)
	for name, c := range map[string]struct {
		seeks bool
		most  int64
	}{
		"breaks off":              {most: 10 << 20},
		"breaks off, from a file": {seeks: true, most: 10 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				defer n.close()
				s := &beginnings{t: t, breakAfter: 1 << 20}
				n.serve("a:80", s.ServeHTTP)
				open := func() (io.ReadCloser, error) {
					if c.seeks {
						return seeking{bytes.NewReader(b)}, nil
					}
					return io.NopCloser(io.MultiReader(bytes.NewReader(b))), nil
				}
				err := n.open("http://a").Upload(t.Context(), key, protocol.PathBlobs, digest, int64(len(b)), open)
				if err != nil || !s.stored || task.Sum(s.got) != digest {
					t.Fatalf("got %v, stored %t, %d bytes", err, s.stored, len(s.got))
				}
				if s.came > c.most {
					t.Errorf("%d bytes were sent for a blob of %d", s.came, len(b))
				}
			})
		})
	}
}

type seeking struct{ *bytes.Reader }

func (seeking) Close() error { return nil }

// An upload whose process ended goes on at the coordinator that has most of it,
// whoever would be asked first.
func TestLargeUploadGoesOnWhereMostOfItIs(t *testing.T) {
	b, digest := content(10 << 20)
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		nodes := map[string]*beginnings{"a:80": {t: t}, "b:80": {t: t, got: bytes.Clone(b[:7<<20])}, "c:80": {t: t, got: bytes.Clone(b[:1<<20])}}
		for host, s := range nodes {
			s.breakAfter = 1 << 30
			n.serve(host, s.ServeHTTP)
		}
		err := n.open("http://a", "http://b", "http://c").Upload(t.Context(), key, protocol.PathBlobs, digest, int64(len(b)), func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b)), nil
		})
		if s := nodes["b:80"]; err != nil || !s.stored || s.came != 3<<20 {
			t.Errorf("got %v, stored %t after %d bytes, want the last 3 MiB to be sent", err, s.stored, s.came)
		}
	})
}
