package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/sheafgrid/sheaf/protocol"
)

func compressed(t *testing.T, b []byte, window int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// So many uploads are decompressed at a time, each with a window of so much; a
// decoder that met an error is as good as new.
func TestDecoders(t *testing.T) {
	d := newDecoders()
	plain := bytes.Repeat([]byte("sheaf"), 1<<20)
	good, wide := compressed(t, plain, decoderWindow), compressed(t, plain, 2*decoderWindow)
	for i, k := range []struct {
		body []byte
		ok   bool
	}{{good, true}, {wide, false}, {[]byte("no zstd"), false}, {good[:len(good)/2], false}, {good, true}} {
		r, done, err := d.decode(bytes.NewReader(k.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if ok := err == nil && bytes.Equal(got, plain); ok != k.ok {
			t.Errorf("body %d: %d bytes, %v", i, len(got), err)
		}
		done()
	}
	var dones []func()
	for range maxDecoders {
		_, done, err := d.decode(bytes.NewReader(good))
		if err != nil {
			t.Fatal(err)
		}
		dones = append(dones, done)
	}
	if _, _, err := d.decode(bytes.NewReader(good)); !protocol.HasCode(err, protocol.CodeOverloaded) {
		t.Errorf("one upload too many: %v", err)
	}
	dones[0]()
	if _, _, err := d.decode(bytes.NewReader(good)); err != nil {
		t.Errorf("when another one has ended: %v", err)
	}
}

// stuck is a body whose last byte does not come.
type stuck struct {
	left    int
	waiting chan struct{}
	end     chan struct{}
}

func (s *stuck) Read(p []byte) (int, error) {
	if s.left == 0 {
		close(s.waiting)
		<-s.end
		return 0, errors.New("the connection has ended")
	}
	n := min(len(p), s.left)
	s.left -= n
	return n, nil
}

// Large bodies on their way take so much memory together; then small requests
// are still read, and large ones when the others have gone.
func TestBodiesTakeSoMuchMemory(t *testing.T) {
	s := &Server{}
	read := func(body io.Reader) error {
		r := httptest.NewRequest(http.MethodPost, "/", body)
		r.ContentLength = protocol.MaxEnvelope
		_, release, err := s.readBody(httptest.NewRecorder(), r, protocol.MaxEnvelope)
		release()
		return err
	}
	const many = 2
	const others = maxBodies - many*(protocol.MaxEnvelope-freeBody)
	s.bodies.Store(others)
	end, gone := make(chan struct{}), make(chan error, many)
	for range many {
		b := &stuck{left: protocol.MaxEnvelope, waiting: make(chan struct{}), end: end}
		go func() { gone <- read(b) }()
		<-b.waiting
	}
	large := func() io.Reader { return bytes.NewReader(make([]byte, protocol.MaxEnvelope)) }
	if err := read(large()); !protocol.HasCode(err, protocol.CodeOverloaded) {
		t.Errorf("a large request too many: %v", err)
	}
	if err := read(bytes.NewReader(make([]byte, freeBody))); err != nil {
		t.Errorf("a small request meanwhile: %v", err)
	}
	close(end)
	for range many {
		if err := <-gone; !protocol.HasCode(err, protocol.CodeMalformed) {
			t.Errorf("a request that broke off: %v", err)
		}
	}
	if err := read(large()); err != nil {
		t.Errorf("a large request after that: %v", err)
	}
	if n := s.bodies.Load(); n != others {
		t.Errorf("%d bytes are counted in the end, want %d", n, others)
	}
}

// A request that does not say how long it is, or is too long, is not read.
func TestBodiesAreAnnounced(t *testing.T) {
	s := &Server{}
	for _, k := range []struct {
		announced int64
		want      protocol.Code
	}{{-1, protocol.CodeMalformed}, {protocol.MaxEnvelope + 1, protocol.CodeTooLarge}, {1 << 62, protocol.CodeTooLarge}} {
		r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader())
		r.Body, r.ContentLength = nil, k.announced
		if _, _, err := s.readBody(httptest.NewRecorder(), r, protocol.MaxEnvelope); !protocol.HasCode(err, k.want) {
			t.Errorf("a body of %d bytes: %v", k.announced, err)
		}
	}
}
