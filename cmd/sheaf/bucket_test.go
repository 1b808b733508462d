package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/freeport"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/s3"
	"github.com/sheafgrid/sheaf/storage/s3/s3test"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

// counting counts the bytes that bodies carry to and from each host.
type counting struct {
	mu    sync.Mutex
	bytes map[string]int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Host
	if r.Body != nil && r.Body != http.NoBody {
		r = r.Clone(r.Context())
		r.Body = &countedBody{r.Body, c, host}
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		res.Body = &countedBody{res.Body, c, host}
	}
	return res, err
}

type countedBody struct {
	io.ReadCloser
	c    *counting
	host string
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.mu.Lock()
	b.c.bytes[b.host] += int64(n)
	b.c.mu.Unlock()
	return n, err
}

func (c *counting) of(host string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes[host]
}

// bucketNode is a cluster of one that keeps its blobs in a bucket.
type bucketNode struct {
	*coordinator.Coordinator
	t       *testing.T
	address string
	ahead   *atomic.Int64 // milliseconds that its clock has been moved on
	end     func()
}

func startBucketNode(t *testing.T, server *s3test.Server, dir string) *bucketNode {
	t.Helper()
	ports, err := freeport.Loopback(2)
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.Config("")
	n := &bucketNode{t: t, address: fmt.Sprintf("127.0.0.1:%d", ports[0]), ahead: &atomic.Int64{}}
	began := time.Now()
	n.Coordinator, err = coordinator.Open(t.Context(), coordinator.Config{
		Dir: dir, Listen: n.address, Raft: fmt.Sprintf("127.0.0.1:%d", ports[1]), Bootstrap: &coordinator.Bootstrap{Anyone: true},
		Now: func() int64 { return time.Since(began).Milliseconds() + n.ahead.Load() },
		S3:  &cfg, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.end = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for {
		made := false
		n.State(func(s *state.State) { made = !s.Cluster().ID.IsZero() })
		if made && n.Status().Serving {
			return n
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case err := <-done:
			t.Fatal(err)
		}
	}
}

func (n *bucketNode) remote(c *counting) *remote.Remote {
	n.t.Helper()
	r, err := remote.Open(remote.Config{
		URLs: []string{"http://" + n.address}, Patience: 2 * time.Second, Random: rand.New(rand.NewPCG(1, 2)),
		Transport: c, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(r.Close)
	return r
}

// Clients send and read large blobs at the S3 server itself. When that goes away
// they are told so, everything else goes on, and nothing is lost.
func TestBlobsInABucket(t *testing.T) {
	server := s3test.Start(t)
	dir := t.TempDir()
	n := startBucketNode(t, server, dir)
	defer func() { n.end() }()
	traffic := &counting{bytes: map[string]int64{}}
	r := n.remote(traffic)
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	upload := func(b []byte) error {
		return r.Upload(t.Context(), key, protocol.PathBlobs, task.Sum(b), int64(len(b)), func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b)), nil
		})
	}
	large, small := storagetest.Random(9<<20, 1), []byte("small")
	for _, b := range [][]byte{large, small} {
		if err := upload(b); err != nil {
			t.Fatal(err)
		}
	}
	read := func(b []byte, from, to int64) {
		t.Helper()
		var got bytes.Buffer
		if err := r.Download(t.Context(), task.Sum(b), from, to-from, &got); err != nil || !bytes.Equal(got.Bytes(), b[from:to]) {
			t.Errorf("read %d to %d: %d bytes, %v", from, to, got.Len(), err)
		}
	}
	read(small, 0, 5)
	read(large, 0, 9<<20)
	read(large, 5<<20+3, 6<<20)
	if got := traffic.of(n.address); got > 1<<20 {
		t.Errorf("%d bytes went through the coordinator, want the large blob not to", got)
	}

	server.Down()
	if err := upload(storagetest.Random(5<<20, 2)); err == nil || !strings.Contains(err.Error(), "S3 server 127.0.0.1") {
		t.Errorf("an upload without the S3 server: %v, want an error that names it", err)
	}
	if err := r.Download(t.Context(), task.Sum(large), 0, 10, io.Discard); err == nil || protocol.HasCode(err, protocol.CodeNotFound) {
		t.Errorf("a download without the S3 server: %v, want an error that is not 'not found'", err)
	}
	if _, err := r.NewSession(key).Call(t.Context(), protocol.PurposeCreateProject, protocol.CreateProject{Name: "goes-on"}); err != nil {
		t.Errorf("a request without the S3 server: %v", err)
	}
	server.Up()
	read(large, 0, 9<<20)
	if err := upload(storagetest.Random(5<<20, 2)); err != nil {
		t.Errorf("when it is back: %v", err)
	}

	// Whoever may write to the place of an upload cannot make it another blob.
	n.end()
	n.end = func() {}
	if _, err := coordinator.Open(t.Context(), coordinator.Config{
		Dir: dir, Listen: n.address, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}); err == nil || !strings.Contains(err.Error(), "--s3-bucket") {
		t.Errorf("the folder without its bucket: %v, want a refusal", err)
	}
}

// What nobody refers to leaves the bucket after a day, and for good after another,
// also if the process begins anew in between and the server goes away; of
// whoever shares the bucket, nothing goes.
func TestUnusedBlobsLeaveTheBucket(t *testing.T) {
	server := s3test.Start(t)
	dir := t.TempDir()
	n := startBucketNode(t, server, dir)
	defer func() { n.end() }()
	var cluster task.ClusterID
	n.State(func(s *state.State) { cluster = s.Cluster().ID })
	theirs := server.Config("another-cluster/blobs")
	other, err := s3.New(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	large, small := storagetest.Random(9<<20, 1), []byte("small")
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for _, b := range [][]byte{large, small} {
		if err := n.remote(&counting{bytes: map[string]int64{}}).Upload(t.Context(), key, protocol.PathBlobs, task.Sum(b), int64(len(b)), func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b)), nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := other.Put(t.Context(), task.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	// objects are the server's files below a name, of the two blobs.
	objects := func(below string) (found int) {
		t.Helper()
		err := filepath.WalkDir(server.File(below), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				found++
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	want := func(when string, inPlace, lists, aside int) {
		t.Helper()
		at := cluster.String() + "/blobs/"
		if b, l, a := objects(at+"blob"), objects(at+"list"), objects(at+"aside"); b != inPlace || l != lists || a != aside {
			t.Errorf("%s: %d in place, %d lists, %d aside; want %d, %d, %d", when, b, l, a, inPlace, lists, aside)
		}
	}
	later := func(d time.Duration) error {
		n.ahead.Add(d.Milliseconds())
		return n.CollectBlobs(t.Context())
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(later(0))
	must(later(23 * time.Hour))
	want("after 23 hours", 2, 1, 0)
	server.Down()
	if err := later(2 * time.Hour); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a round without the server: %v, want ErrUnavailable", err)
	}
	server.Up()
	must(later(0))
	want("after 25 hours", 0, 1, 2)

	ahead := n.ahead.Load()
	n.end()
	n = startBucketNode(t, server, dir)
	n.ahead.Store(ahead)
	var got bytes.Buffer
	must(n.remote(&counting{bytes: map[string]int64{}}).Download(t.Context(), task.Sum(large), 0, 9<<20, &got))
	if !bytes.Equal(got.Bytes(), large) {
		t.Errorf("read %d other bytes", got.Len())
	}
	want("after one was read", 1, 1, 2)
	must(later(0))
	must(later(26 * time.Hour))
	want("after 51 hours", 0, 1, 1) // the one that was read has gone once more
	must(later(26 * time.Hour))
	want("after 77 hours", 0, 0, 0)
	v, err := n.Storage(t.Context())
	if k := v.Collect; err != nil || k.Aside != 1 || k.Blobs != 3 || k.Failed != "" {
		t.Errorf("the node says %+v, %v; want 1 put aside by this process, and 3 deleted", k, err)
	}
	res, err := http.Get("http://" + n.address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"sheaf_collect_aside_blobs_total 1\n", "sheaf_collect_deleted_blobs_total 3\n", "sheaf_collect_failed 0\n"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("the metrics lack %q", line)
		}
	}
	for _, b := range [][]byte{large, small} {
		if got, err := storage.ReadAll(t.Context(), other, task.Sum(b), int64(len(b))); err != nil || !bytes.Equal(got, b) {
			t.Errorf("of another cluster in the bucket: %d bytes, %v", len(got), err)
		}
	}
}

// What somebody sends to a signed place is not a blob until it is verified.
func TestSignedPlacesAreNotTrusted(t *testing.T) {
	server := s3test.Start(t)
	n := startBucketNode(t, server, t.TempDir())
	defer n.end()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	b := storagetest.Random(2<<20, 1)
	digest := task.Sum(b)
	var cluster task.ClusterID
	n.State(func(s *state.State) { cluster = s.Cluster().ID })
	put := func(offset, direct string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+n.address+protocol.PathBlobs+digest.String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{
			protocol.HeaderKey:       {protocol.PublicKey(key).String()},
			protocol.HeaderSignature: {protocol.EncodeSignature(protocol.SignUpload(key, cluster, digest))},
			protocol.HeaderSize:      {fmt.Sprint(len(b))},
			protocol.HeaderOffset:    {offset},
			protocol.HeaderDirect:    {direct},
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	wrong := bytes.Clone(b)
	wrong[1000] ^= 1
	for what, c := range map[string]struct {
		sent   []byte
		status int
	}{"nothing": {nil, 400}, "wrong bytes": {wrong, 400}, "too few": {b[:1<<20], 400}, "the blob": {b, 204}} {
		res := put(protocol.OffsetUnknown, protocol.DirectWanted)
		url := res.Header.Get(protocol.HeaderUploadURL)
		if res.StatusCode != http.StatusAccepted || url == "" {
			t.Fatalf("%s: asked where to send it: %s, %q", what, res.Status, url)
		}
		if c.sent != nil {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(c.sent))
			if err != nil {
				t.Fatal(err)
			}
			if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s: sent with %v, %v", what, res, err)
			}
		}
		if res := put("0", protocol.DirectSent); res.StatusCode != c.status {
			t.Errorf("%s: %s, want %d", what, res.Status, c.status)
		}
		res, err := http.Get("http://" + n.address + protocol.PathBlobs + digest.String())
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if there := res.StatusCode == http.StatusOK && bytes.Equal(got, b); !there && c.status == 204 {
			t.Errorf("%s: read %s, %d bytes", what, res.Status, len(got))
		}
	}
}
