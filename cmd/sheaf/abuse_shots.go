package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// shot is a bad request.
type shot struct {
	inner  bool // to the port for coordinators, as a stranger
	method string
	path   string
	header http.Header
	length int64 // announced; 0: that of body; below 0: none, the body is sent in chunks without end
	body   []byte
}

// shots are all kinds of bad requests, each as a function that makes one.
func (t *attacker) shots() (map[string]func() shot, error) {
	bomb, err := zstdBomb(1 << 30)
	if err != nil {
		return nil, err
	}
	smallBomb, err := zstdBomb(1 << 20)
	if err != nil {
		return nil, err
	}
	blob := func(declared int64, size int64, encoding string, body []byte) shot {
		digest := task.Sum(strconv.AppendUint(nil, rand.Uint64(), 10)) // of something else
		h := t.signedUpload(digest)
		if encoding != "" {
			h.Set("Content-Encoding", encoding)
			h.Set(protocol.HeaderSize, strconv.FormatInt(size, 10))
		}
		return shot{method: "PUT", path: protocol.PathBlobs + digest.String(), header: h, length: declared, body: body}
	}
	request := func(body []byte) shot { return shot{method: "POST", path: protocol.PathRequests, body: body} }
	inner := func(method, path string, body []byte) shot {
		return shot{inner: true, method: method, path: path, body: body}
	}
	long := strings.Repeat("x", 64<<10)
	other := task.Sum([]byte("any")).String()
	return map[string]func() shot{
		"too large a request": func() shot {
			return shot{method: "POST", path: protocol.PathRequests, length: 1 << 40, body: []byte("x")}
		},
		"a request of no length": func() shot {
			return shot{method: "POST", path: protocol.PathRequests, length: -1}
		},
		"too large a blob": func() shot { return blob(task.MaxInputSize+1, 0, "", []byte("x")) },
		"too large an ask": func() shot {
			return shot{method: "POST", path: protocol.PathOperatorBlobs + "blobs/batch/" + other, length: 1 << 40}
		},
		"too large an output": func() shot {
			s := blob(1<<40, 0, "", nil)
			s.path = protocol.OutputsPath(1) + other
			s.header = t.signedUpload(task.Sum([]byte("any")))
			return s
		},
		"too long a head": func() shot {
			return shot{method: "GET", path: "/", header: http.Header{"X-Long": {long}}}
		},
		"too long a path":                 func() shot { return shot{method: "GET", path: "/" + long} },
		"a zstd bomb as a blob":           func() shot { return blob(0, 1000, "zstd", bomb) },
		"a zstd window of 2 GiB":          func() shot { return blob(0, 1000, "zstd", wideZstd) },
		"a zstd blob with another digest": func() shot { return blob(0, 1<<20, "zstd", smallBomb) },
		"a zstd bomb as a request": func() shot {
			s := request(bomb)
			s.header = http.Header{"Content-Encoding": {"zstd"}}
			return s
		},
		"a blob with another digest": func() shot { return blob(0, 0, "", bytes.Repeat([]byte("x"), 4000)) },
		"a blob of another's": func() shot {
			s := blob(0, 0, "", []byte("x"))
			s.header.Set(protocol.HeaderKey, t.Publisher.String())
			return s
		},
		"an output of nobody's attempt": func() shot {
			s := blob(0, 0, "", []byte("x"))
			s.path = strings.Replace(s.path, protocol.PathBlobs, protocol.OutputsPath(1), 1)
			return s
		},
		"no frame": func() shot { return request([]byte("GET / HTTP/1.1")) },
		"huge lengths": func() shot {
			return request(wire.Seal(protocol.FrameEnvelope, hugeLength()))
		},
		"deep nesting":    func() shot { return request(wire.Seal(protocol.FrameEnvelope, bytes.Repeat([]byte{0x91}, 1<<20))) },
		"noise":           func() shot { return request(wire.Seal(protocol.FrameEnvelope, noise(2000))) },
		"wrong signature": func() shot { return request(t.envelope(t.key, true)) },
		"unknown key": func() shot {
			_, key, err := ed25519.GenerateKey(crand.Reader)
			if err != nil {
				key = t.key // it never fails; the key's account is refused, too: it is no host's
			}
			return request(t.envelope(key, false))
		},
		"a stranger's blob":    func() shot { return inner("PUT", "/internal/v1/blobs/"+other, []byte("x")) },
		"a stranger's request": func() shot { return inner("POST", protocol.PathRequests, t.envelope(t.key, true)) },
		"a stranger asks in":   func() shot { return inner("POST", "/internal/v1/join", noise(200<<10)) },
		"a stranger's huge ask": func() shot {
			return shot{inner: true, method: "POST", path: "/internal/v1/outputs/read", length: 1 << 40}
		},
	}, nil
}

// envelope is an exchange that must be refused.
func (t *attacker) envelope(key ed25519.PrivateKey, spoil bool) []byte {
	e := protocol.Envelope{
		Version: protocol.Version, Cluster: t.Cluster, Session: task.SessionID(rand.Uint64()), Opened: t.Opened,
		Number: 1, Purpose: protocol.PurposeExchange, Payload: wire.Marshal(protocol.Exchange{}),
	}
	e.Sign(key)
	if spoil {
		e.Signature[rand.IntN(len(e.Signature))] ^= 1
	}
	return e.Encode()
}

// zstdBomb is size zeros, as few bytes.
func zstdBomb(size int64) ([]byte, error) {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	for zeros := make([]byte, 1<<20); size > 0; size -= int64(len(zeros)) {
		if _, err := w.Write(zeros[:min(size, int64(len(zeros)))]); err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return b.Bytes(), nil
}

// wideZstd begins a zstd frame that wants a window of 2 GiB (RFC 8878, 3.1.1.1.2).
var wideZstd = append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00}, make([]byte, 64)...)

// hugeLength is a msgpack value that says to be 4 GiB large, alone or as a field
// of a request.
func hugeLength() []byte {
	const kinds = "\xdd\xdf\xc6\xdb\xc9" // array, map, bytes, text, extension of 32 bits
	huge := binary.BigEndian.AppendUint32([]byte{kinds[rand.IntN(len(kinds))]}, 1<<32-1)
	switch rand.IntN(3) {
	case 0:
		return append([]byte{0x82, 0xa1, 'b'}, huge...)
	case 1:
		return append([]byte{0x82, 0xa1, 'c'}, huge...)
	}
	return huge
}

// noise is bytes that mean nothing.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// shoot sends bad requests of all kinds in turn, until ctx ends.
func (t *attacker) shoot(ctx context.Context) {
	kinds, err := t.shots()
	if err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.result.Trouble = append(t.result.Trouble, err.Error())
		return
	}
	t.fire(ctx, kinds)
}
