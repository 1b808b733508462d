package remote_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// content is n bytes that do not compress, with their digest.
func content(n int) ([]byte, task.Digest) {
	b := make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{})
	_, _ = rnd.Read(b)
	return b, task.Sum(b)
}

// blobs serves one blob as coordinators do, but breaks off, or stands still,
// after so many bytes of an answer; 0 for never.
func blobs(b []byte, breakAfter int, stall bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if breakAfter > 0 {
			w = &breaking{w, breakAfter, stall, r.Context()}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}
}

type breaking struct {
	http.ResponseWriter
	left  int
	stall bool
	ctx   context.Context
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) >= b.left {
		_, _ = b.ResponseWriter.Write(p[:b.left])
		b.ResponseWriter.(http.Flusher).Flush()
		if b.stall {
			<-b.ctx.Done()
		}
		panic(http.ErrAbortHandler)
	}
	b.left -= len(p)
	return b.ResponseWriter.Write(p)
}

func TestDownload(t *testing.T) {
	b, digest := content(300_000)
	notFound := text(404, "application/json", `{"code":10,"error":"no such blob"}`)
	for name, c := range map[string]struct {
		a, b           http.HandlerFunc // two coordinators
		offset, length int64
		code           protocol.Code
	}{
		"whole":                         {a: blobs(b, 0, false), length: 300_000},
		"to its end":                    {a: blobs(b, 0, false), length: remote.ToTheEnd},
		"a part":                        {a: blobs(b, 0, false), offset: 1000, length: 5000},
		"a part to its end":             {a: blobs(b, 0, false), offset: 299_990, length: remote.ToTheEnd},
		"nothing":                       {a: notFound, offset: 5, length: 0},
		"broken off again and again":    {a: blobs(b, 40_000, false), offset: 10, length: 250_000},
		"broken off, to its end":        {a: blobs(b, 40_000, false), length: remote.ToTheEnd},
		"stands still":                  {a: blobs(b, 100_000, true), length: 300_000},
		"one has it not":                {a: notFound, b: blobs(b, 0, false), offset: 7, length: 70},
		"one breaks off at once":        {a: drop, b: blobs(b, 0, false), length: 300_000},
		"nobody has it":                 {a: notFound, b: notFound, length: 10, code: protocol.CodeNotFound},
		"nobody has it, one is away":    {a: notFound, b: drop, length: 10, code: protocol.CodeNotFound},
		"ends too early":                {a: blobs(b, 0, false), offset: 299_000, length: 5000, code: protocol.CodeInvalid},
		"begins behind its end":         {a: blobs(b, 0, false), offset: 300_001, length: 5, code: protocol.CodeInvalid},
		"ranges are not known":          {a: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }, length: 1000},
		"ranges are not known, a part":  {a: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }, b: blobs(b, 0, false), offset: 10, length: 1000},
		"another range":                 {a: another(b), b: blobs(b, 0, false), offset: 10, length: 1000},
		"without saying which":          {a: silent(b), offset: 10, length: 1000},
		"encoded as nobody asked for":   {a: encoded, b: blobs(b, 0, false), length: 1000},
		"a web page in place of a blob": {a: text(404, "text/html", "gone"), b: blobs(b, 0, false), length: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				defer n.close()
				n.serve("a:80", c.a)
				urls := []string{"http://a"}
				if c.b != nil {
					n.serve("b:80", c.b)
					urls = append(urls, "http://b")
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				var got bytes.Buffer
				err := n.open(urls...).Download(ctx, digest, c.offset, c.length, &got)
				if c.code != 0 {
					if !protocol.HasCode(err, c.code) {
						t.Errorf("got %v, want code %d", err, c.code)
					}
					return
				}
				want := b[c.offset:]
				if c.length >= 0 {
					want = want[:c.length]
				}
				if err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Errorf("got %d bytes, %v; want %d, equal: %t", got.Len(), err, len(want), bytes.Equal(got.Bytes(), want))
				}
			})
		})
	}
}

// another answers with another range than was asked for.
func another(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Range", "bytes=20-1019")
		blobs(b, 0, false)(w, r)
	}
}

// silent is a coordinator that passed on a leader's answer without its range.
func silent(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(206)
		_, _ = w.Write(b[10:1010])
	}
}

func encoded(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write(make([]byte, 1000))
}

type fullDisk struct{ left int }

var errFull = errors.New("no space left")

func (f *fullDisk) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestDownloadEndsWhenItsFileDoes(t *testing.T) {
	b, digest := content(300_000)
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		n.serve("a:80", blobs(b, 0, false))
		r := n.open("http://a")
		if err := r.Download(t.Context(), digest, 0, remote.ToTheEnd, &fullDisk{100_000}); !errors.Is(err, errFull) {
			t.Errorf("got %v, want %v", err, errFull)
		}
		if err := r.Download(t.Context(), digest, -1, 5, io.Discard); err == nil {
			t.Error("a download from byte -1")
		}
	})
}

// store takes uploads as coordinators do.
type store struct {
	t       *testing.T
	got     []byte
	encoded bool
	tries   int
	answers []http.HandlerFunc // for the first tries, after reading what they say
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	digest, err := task.ParseDigest(strings.TrimPrefix(r.URL.Path, protocol.PathOutputs))
	k, err2 := task.ParseKey(r.Header.Get(protocol.HeaderKey))
	if r.Method != http.MethodPut || err != nil || err2 != nil ||
		!protocol.VerifyUpload(k, cluster, digest, protocol.DecodeSignature(r.Header.Get(protocol.HeaderSignature))) {
		s.t.Errorf("%s %s: %v, %v, or not signed", r.Method, r.URL.Path, err, err2)
	}
	s.tries++
	if s.tries <= len(s.answers) {
		_, _ = io.CopyN(io.Discard, r.Body, 100)
		s.answers[s.tries-1](w, r)
		return
	}
	body := io.Reader(r.Body)
	s.encoded = r.Header.Get("Content-Encoding") == "zstd"
	if s.encoded {
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			s.t.Error(err)
			return
		}
		defer z.Close()
		body = z
	} else if r.ContentLength < 0 {
		s.t.Error("an upload without its length")
	}
	if s.got, err = io.ReadAll(body); err != nil {
		s.t.Errorf("reading: %v", err)
	}
	if r.Header.Get(protocol.HeaderSize) != strconv.Itoa(len(s.got)) || task.Sum(s.got) != digest {
		s.t.Errorf("%s bytes were announced, %d came, with the digest: %t", r.Header.Get(protocol.HeaderSize), len(s.got), task.Sum(s.got) == digest)
	}
	w.WriteHeader(http.StatusNoContent)
}

func TestUpload(t *testing.T) {
	noise, _ := content(200_000)
	words := []byte(strings.Repeat("all work and no play ", 20_000))
	busy := text(429, "application/json", `{"code":13,"error":"later","retry_millis":1000}`)
	broken := text(400, "application/json", `{"code":1,"error":"it did not arrive whole"}`)
	for name, c := range map[string]struct {
		content []byte
		answers []http.HandlerFunc
		zstd    bool
		code    protocol.Code
	}{
		"noise":                 {content: noise},
		"words":                 {content: words, zstd: true},
		"a word":                {content: []byte("word")},
		"nothing":               {},
		"busy at first":         {content: words, zstd: true, answers: []http.HandlerFunc{busy, busy}},
		"breaks off":            {content: noise, answers: []http.HandlerFunc{drop, drop, drop}},
		"breaks off compressed": {content: words, zstd: true, answers: []http.HandlerFunc{drop}},
		"stands still":          {content: words, zstd: true, answers: []http.HandlerFunc{func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}},
		"did not arrive":        {content: noise, answers: []http.HandlerFunc{broken, broken}},
		"never arrives":         {content: noise, answers: []http.HandlerFunc{broken, broken, broken, broken, broken}, code: protocol.CodeMalformed},
		"not allowed":           {content: noise, answers: []http.HandlerFunc{text(403, "application/json", `{"code":9,"error":"no"}`)}, code: protocol.CodeNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				defer n.close()
				s := &store{t: t, answers: c.answers}
				n.serve("a:80", s.ServeHTTP)
				opened := 0
				err := n.open("http://a").Upload(t.Context(), key, protocol.PathOutputs, task.Sum(c.content), int64(len(c.content)), func() (io.ReadCloser, error) {
					opened++
					return io.NopCloser(bytes.NewReader(c.content)), nil
				})
				if c.code != 0 {
					if !protocol.HasCode(err, c.code) {
						t.Errorf("got %v, want code %d", err, c.code)
					}
					return
				}
				if err != nil || !bytes.Equal(s.got, c.content) || s.encoded != c.zstd {
					t.Errorf("got %v, %d bytes, compressed %t; want %d, %t", err, len(s.got), s.encoded, len(c.content), c.zstd)
				}
			})
		})
	}
}

func TestUploadOfAFileThatFails(t *testing.T) {
	b, _ := content(100_000)
	errGone := errors.New("gone")
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		n.serve("a:80", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
		r := n.open("http://a")
		for name, open := range map[string]func() (io.ReadCloser, error){
			"cannot be opened": func() (io.ReadCloser, error) { return nil, errGone },
			"cannot be read": func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(b[:70_000]), failing{errGone})), nil
			},
		} {
			if err := r.Upload(t.Context(), key, protocol.PathOutputs, task.Sum(b), int64(len(b)), open); !errors.Is(err, errGone) {
				t.Errorf("%s: got %v, want %v", name, err, errGone)
			}
		}
		short := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b[:99_000])), nil }
		if err := r.Upload(t.Context(), key, protocol.PathOutputs, task.Sum(b), int64(len(b)), short); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a file that has shrunk: %v", err)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// What only its holder may see is asked for under a signature that covers the
// path, and a time of the cluster.
func TestSignedReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		began := time.Now()
		asked := 0
		n.serve("a:80", func(w http.ResponseWriter, r *http.Request) {
			now := task.Millis(5_000_000 + time.Since(began)/time.Millisecond)
			if r.URL.Path == protocol.PathCluster {
				asked++
				v := view()
				v.Time = now
				text(200, "application/json", asJSON(t, v))(w, r)
				return
			}
			at := protocol.ParseMillis(r.Header.Get(protocol.HeaderTime))
			signed := protocol.VerifyRead(protocol.PublicKey(key), cluster, r.URL.Path, at, protocol.DecodeSignature(r.Header.Get(protocol.HeaderSignature)))
			late := now - at
			text(200, "application/json", fmt.Sprintf(`{"signed":%t,"late":%d,"query":%q}`, signed, late, r.URL.RawQuery))(w, r)
		})
		r := n.open("http://a")
		for _, pause := range []time.Duration{0, 30 * time.Second, time.Hour} {
			time.Sleep(pause)
			var got struct {
				Signed bool
				Late   int64
				Query  string
			}
			if err := r.GetJSON(t.Context(), "/v1/jobs/x?from=5", &got, key); err != nil || !got.Signed || got.Late != 0 || got.Query != "from=5" {
				t.Errorf("after %v: got %+v, %v", pause, got, err)
			}
			if err := r.GetJSON(t.Context(), "/v1/jobs/x", &got, nil); err != nil || got.Signed {
				t.Errorf("as anyone: %+v, %v", got, err)
			}
		}
		if asked != 2 {
			t.Errorf("asked for the time %d times, want 2", asked)
		}
		body, err := r.Stream(t.Context(), "/v1/jobs/x?q=1", key)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if b, err := io.ReadAll(body); err != nil || !strings.Contains(string(b), `"signed":true`) {
			t.Errorf("a stream: %q, %v", b, err)
		}
	})
}
