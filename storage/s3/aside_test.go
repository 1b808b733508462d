package s3_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/s3"
	"github.com/sheafgrid/sheaf/storage/s3/s3test"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

func put(t *testing.T, s *s3.Store, b []byte) task.Digest {
	t.Helper()
	d := task.Sum(b)
	if err := s.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return d
}

func yes() error { return nil }

func wantBlob(t *testing.T, s *s3.Store, b []byte) {
	t.Helper()
	if got, err := storage.ReadAll(t.Context(), s, task.Sum(b), int64(len(b))); err != nil || !bytes.Equal(got, b) {
		t.Errorf("read %d bytes, %v; want the %d that were put", len(got), err, len(b))
	}
}

// A removal goes out with a signature that is good for minutes. Until it has
// run out, a removal on its way may come in the middle of anything, and takes
// nothing away.
func TestRemovalThatComesLate(t *testing.T) {
	server := s3test.Start(t)
	u, err := url.Parse(server.Config("").Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var removals []string
	behind := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host // which is signed
		if r.In.Method == http.MethodDelete && strings.Contains(r.In.URL.Path, "/blob/") {
			removals = append(removals, r.In.URL.RequestURI())
		}
	}}
	proxy := httptest.NewServer(behind)
	defer proxy.Close()
	c := server.Config("x")
	c.Endpoint = proxy.URL
	s := open(t, c)
	b := storagetest.Random(2<<20, 1)
	d := put(t, s, b)
	if err := s.PutAside(t.Context(), d, 1, yes); err != nil {
		t.Fatal(err)
	}
	if len(removals) != 1 || !strings.Contains(removals[0], "X-Amz-Expires=600&") {
		t.Fatalf("removals %q, want one whose signature is good for 600 s", removals)
	}
	for what, before := range map[string]func(){
		"put again":     func() { put(t, s, b) },
		"brought back":  func() { wantBlob(t, s, b) },
		"put elsewhere": func() { put(t, open(t, server.Config("y")), b) },
	} {
		before()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, proxy.URL+removals[0], http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.StatusCode/100 != 2 {
			t.Fatalf("%s: the same removal once more: %v, %v", what, res, err)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		wantBlob(t, s, b)
	}
	// When the signature has run out, the server refuses it.
	short, err := client(t, server).Presign(t.Context(), http.MethodDelete, s3test.Bucket, "x/blob/"+d.String(), time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, short.String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		if res.StatusCode == http.StatusForbidden {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a signature of one second is still good: %s", res.Status)
		}
	}
}

// client reaches a server with nothing of this package between.
func client(t *testing.T, server *s3test.Server) *minio.Core {
	t.Helper()
	core, err := minio.NewCore(strings.TrimPrefix(server.Config("").Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4("sheaf-test", "a secret of no value", "")})
	if err != nil {
		t.Fatal(err)
	}
	return core
}

// A server that goes away at the worst moment has lost nothing.
func TestServerThatGoesAwayMeanwhile(t *testing.T) {
	server := s3test.Start(t)
	s := open(t, server.Config("x"))
	b := storagetest.Random(2<<20, 1)
	d := put(t, s, b)
	err := s.PutAside(t.Context(), d, 1, func() error { server.Down(); return nil })
	if !errors.Is(err, storage.ErrUnavailable) || strings.Contains(err.Error(), "Signature") {
		t.Errorf("put aside without a server: %v, want ErrUnavailable without a signature", err)
	}
	a := storage.Aside{Digest: d, Stamp: 1, Size: int64(len(b))}
	for what, err := range map[string]error{
		"list":            s.ListAside(t.Context(), func(storage.Aside) error { return nil }),
		"list unfinished": s.ListUnfinished(t.Context(), func(storage.Unfinished) error { return nil }),
		"drop":            s.DropAside(t.Context(), a),
	} {
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s without a server: %v, want ErrUnavailable", what, err)
		}
	}
	server.Up()
	wantBlob(t, s, b)
	if err := s.PutAside(t.Context(), d, 1, yes); err != nil {
		t.Errorf("when it is back: %v", err)
	}
	wantBlob(t, s, b)
}

// A blob whose list of chunks went while it was put again is whole once it has
// been read, and one that is damaged, too, is found out.
func TestLostListIsMadeAgain(t *testing.T) {
	server := s3test.Start(t)
	s := open(t, server.Config("x"))
	b := storagetest.Random(3<<20+5, 1)
	d := put(t, s, b)
	list := server.File("x/list/" + d.String())
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, b)
	if _, err := os.Stat(list); err != nil {
		t.Errorf("the list was not made again: %v", err)
	}
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(b)
	damaged[2<<20] ^= 1
	if err := os.WriteFile(server.File("x/blob/"+d.String()), damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), d); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("a damaged blob without its list: %v, want ErrCorrupt", err)
	}
}

// Uploads that nobody finished are found, and those that go on can be told from
// those that do not. Stores that share a bucket see their own alone.
func TestUnfinishedUploads(t *testing.T) {
	server := s3test.Start(t)
	s, other, outer := open(t, server.Config("x")), open(t, server.Config("xy")), open(t, server.Config(""))
	core := client(t, server)
	b := storagetest.Random(6<<20, 1)
	name := "x/blob/" + task.Sum(b).String()
	upload, err := core.NewMultipartUpload(t.Context(), s3test.Bucket, name, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	part := func(n int, b []byte) {
		t.Helper()
		if _, err := core.PutObjectPart(t.Context(), s3test.Bucket, name, upload, n, bytes.NewReader(b), int64(len(b)), minio.PutObjectPartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	part(1, b[:5<<20])
	send := func(b []byte) {
		t.Helper()
		place, err := s.UploadURL(t.Context(), "some-id")
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, place, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("sent with %v, %v", res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	send([]byte("first"))
	list := func(s *s3.Store) (all []storage.Unfinished) {
		t.Helper()
		if err := s.ListUnfinished(t.Context(), func(u storage.Unfinished) error {
			all = append(all, u)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := list(s)
	if len(before) != 2 || !slices.Equal(list(s), before) {
		t.Fatalf("unfinished uploads: %+v, want 2, the same each time", before)
	}
	for what, s := range map[string]*s3.Store{"another prefix": other, "no prefix": outer} {
		if all := list(s); len(all) != 0 {
			t.Errorf("with %s: %+v, want none", what, all)
		}
	}
	part(2, b[5<<20:])
	send([]byte("second"))
	after := list(s)
	if len(after) != 2 || after[0].Name != before[0].Name || after[1].Name != before[1].Name || after[0].State == before[0].State || after[1].State == before[1].State {
		t.Errorf("both went on: %+v, before %+v", after, before)
	}
	for range 2 {
		for _, u := range after {
			if err := s.DropUnfinished(t.Context(), u); err != nil {
				t.Errorf("drop %+v: %v", u, err)
			}
		}
	}
	if all := list(s); len(all) != 0 {
		t.Errorf("after all were dropped: %+v", all)
	}
}

// Clusters that share a bucket see their own blobs alone.
func TestPrefixesAreApart(t *testing.T) {
	server := s3test.Start(t)
	b := storagetest.Random(2<<20, 1)
	d := task.Sum(b)
	stores := map[string]*s3.Store{}
	for _, prefix := range []string{"", "x", "xy", "x/blob", "aside"} {
		stores[prefix] = open(t, server.Config(prefix))
		put(t, stores[prefix], b)
	}
	mine := stores["x"]
	if err := mine.PutAside(t.Context(), d, 5, yes); err != nil {
		t.Fatal(err)
	}
	for prefix, s := range stores {
		aside, listed := 0, 0
		if err := s.ListAside(t.Context(), func(storage.Aside) error { aside++; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := s.List(t.Context(), func(task.Digest, int64) error { listed++; return nil }); err != nil {
			t.Fatal(err)
		}
		if s == mine && (aside != 1 || listed != 0) || s != mine && (aside != 0 || listed != 1) {
			t.Errorf("prefix %q: %d listed, %d aside", prefix, listed, aside)
		}
	}
	if err := mine.DropAside(t.Context(), storage.Aside{Digest: d, Stamp: 5, Size: int64(len(b))}); err != nil {
		t.Fatal(err)
	}
	for prefix, s := range stores {
		if s != mine {
			wantBlob(t, s, b)
		} else if ok, err := s.Has(t.Context(), d); ok || err != nil {
			t.Errorf("prefix %q: has %v, %v", prefix, ok, err)
		}
	}
}
