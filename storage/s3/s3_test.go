package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/s3"
	"github.com/sheafgrid/sheaf/storage/s3/s3test"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

func open(t *testing.T, c s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestSuite(t *testing.T) {
	server := s3test.Start(t)
	var prefixes atomic.Int64
	made := map[storage.Blobs]s3.Config{}
	fresh := func(t *testing.T, c s3.Config) storage.Blobs {
		s := open(t, c)
		made[s] = c
		return s
	}
	storagetest.Test(t,
		func(t *testing.T) storage.Blobs {
			return fresh(t, server.Config(fmt.Sprint("p", prefixes.Add(1))))
		},
		storagetest.WithReopen(func(t *testing.T, old storage.Blobs) storage.Blobs {
			server.Down()
			server.Up()
			return fresh(t, made[old])
		}))
}

func TestShared(t *testing.T) {
	server := s3test.Start(t)
	prefixes := 0
	made := map[storage.Shared]s3.Config{}
	fresh := func(t *testing.T, c s3.Config) storage.Shared {
		s := open(t, c)
		made[s] = c
		return s
	}
	storagetest.TestShared(t,
		func(t *testing.T) storage.Shared {
			prefixes++
			return fresh(t, server.Config(fmt.Sprint("p", prefixes)))
		},
		func(t *testing.T, s storage.Shared) storage.Shared { return fresh(t, made[s]) })
}

// A small blob is sent in one piece. In pieces, an empty one would have a body:
// the server of these tests takes that for the beginning of the next request,
// and refuses one that comes before the client has heard so.
func TestSmallBlobsAreSentWhole(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if want := task.Sum(b).String(); err != nil || r.Header.Get("X-Amz-Content-Sha256") != want || r.ContentLength != int64(len(b)) || !strings.HasSuffix(r.URL.Path, want) {
			t.Errorf("%s: %d bytes came, %q, of which the server is told %q; want the blob %s alone", r.URL.Path, r.ContentLength, b, r.Header.Get("X-Amz-Content-Sha256"), want)
		}
		w.WriteHeader(http.StatusOK)
	}))
	defer server.Close()
	s := open(t, s3.Config{Endpoint: server.URL, Bucket: "sheaf", Keys: s3.NewKeys("a", "s")})
	for _, b := range [][]byte{{}, []byte("x")} {
		if err := s.Put(t.Context(), task.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Error(err)
		}
	}
}

// Damage on the server is found, whatever part of a blob is read.
func TestDamageIsFound(t *testing.T) {
	server := s3test.Start(t)
	s := open(t, server.Config("x"))
	for _, size := range []int{1000, 3*storage.ChunkSize + 5} {
		b := storagetest.Random(size, 1)
		d := task.Sum(b)
		if err := s.Put(t.Context(), d, int64(size), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		names := []string{"x/blob/" + d.String()}
		if size > storage.ChunkSize {
			names = append(names, "x/list/"+d.String())
		}
		for _, name := range names {
			path := server.File(name)
			stored, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			damaged := bytes.Clone(stored)
			damaged[len(damaged)/2] ^= 1
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := storage.ReadAll(t.Context(), s, d, int64(size)); !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("%s of %d bytes is damaged: %v, want ErrCorrupt", filepath.Dir(name), size, err)
			}
			if err := os.WriteFile(path, stored, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := storage.ReadAll(t.Context(), s, d, int64(size)); err != nil {
			t.Errorf("%d bytes, whole again: %v", size, err)
		}
	}
}

// A server that goes away is named, in words that say what is the matter and
// none of the keys; when it is back, everything is there.
func TestServerThatGoesAway(t *testing.T) {
	server := s3test.Start(t)
	s := open(t, server.Config(""))
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept, other := storagetest.Random(2<<20, 1), storagetest.Random(2<<20, 2)
	put := func(b []byte) error { return s.Put(t.Context(), task.Sum(b), int64(len(b)), bytes.NewReader(b)) }
	if err := put(kept); err != nil {
		t.Fatal(err)
	}
	server.Down()
	_, readErr := storage.ReadAll(t.Context(), s, task.Sum(kept), 4<<20)
	for what, err := range map[string]error{"put": put(other), "read": readErr, "check": s.Check(t.Context()), "delete": s.Delete(t.Context(), task.Sum(kept))} {
		if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want ErrUnavailable that names the server", what, err)
		}
	}
	server.Up()
	if got, err := storage.ReadAll(t.Context(), s, task.Sum(kept), 4<<20); err != nil || !bytes.Equal(got, kept) {
		t.Errorf("when it is back: %d bytes, %v", len(got), err)
	}
	if err := put(other); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func TestWrongKeysAndBuckets(t *testing.T) {
	server := s3test.Start(t)
	c := server.Config("")
	c.Keys = s3.NewKeys("sheaf-test", "another secret")
	if err := open(t, c).Check(t.Context()); err == nil || strings.Contains(err.Error(), "another secret") {
		t.Errorf("wrong keys: %v", err)
	}
	c = server.Config("")
	c.Bucket = "not-there"
	if err := open(t, c).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "not-there") {
		t.Errorf("a bucket that is not there: %v", err)
	}
}

func TestConfig(t *testing.T) {
	good := s3.Config{Endpoint: "https://s3.example.org:9000", Bucket: "sheaf", Keys: s3.NewKeys("a", "s")}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*s3.Config){
		"no URL":       func(c *s3.Config) { c.Endpoint = "s3.example.org" },
		"keys in URL":  func(c *s3.Config) { c.Endpoint = "https://key:hidden@s3.example.org" },
		"a path":       func(c *s3.Config) { c.Endpoint += "/bucket" },
		"no bucket":    func(c *s3.Config) { c.Bucket = "" },
		"odd bucket":   func(c *s3.Config) { c.Bucket = "../x" },
		"odd prefix":   func(c *s3.Config) { c.Prefix = "a//b" },
		"no keys":      func(c *s3.Config) { c.Keys = s3.Keys{} },
		"half of keys": func(c *s3.Config) { c.Keys = s3.NewKeys("a", "") },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want a refusal without keys", what, err)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", good, good, good); strings.Contains(text, `"s"`) || strings.Contains(text, "{a s}") {
		t.Errorf("the keys are printed: %s", text)
	}
	path := filepath.Join(t.TempDir(), "keys")
	for text, ok := range map[string]bool{"access\nsecret\n": true, "access secret": true, "": false, "one\n": false, "a\nb\nc\n": false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s3.ReadKeys(path); (err == nil) != ok {
			t.Errorf("keys %q: %v", text, err)
		}
	}
}
