package backup

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// What can be wrong with a backup. Each error that wraps one of these says where
// in the file.
var (
	ErrCut     = errors.New("the backup was cut short")
	ErrDamaged = errors.New("the backup is damaged")
)

const (
	frameHead uint16 = 80 + iota
	framePack
	frameLarge
	framePart
	frameSealed
	frameSnapshot
	frameManifest
)

const format = 1

// Area is which kind of blobs a blob belongs to.
type Area uint8

// The areas.
const (
	Public  Area = 1 // programs, inputs, indexes, sheaves
	Outputs Area = 2 // what hosts returned
)

// String is the name that the area has among coordinators.
func (a Area) String() string {
	if a == Public {
		return "blobs"
	}
	return "outputs"
}

const (
	maxPlain  = 2 << 20           // bytes of a payload, expanded
	partBytes = storage.ChunkSize // of a part
	packBytes = storage.ChunkSize // from which on a pack is written
	maxPacked = 256 << 10         // a larger blob is written in parts
)

type head struct {
	Format  uint16         `msgpack:"v"`
	Cluster task.ClusterID `msgpack:"c"`
}

type pack struct {
	Blobs []packed `msgpack:"b,omitempty"`
}

type packed struct {
	Area   Area        `msgpack:"a"`
	Digest task.Digest `msgpack:"d"`
	Group  uint64      `msgpack:"g"` // storage.Small.Group
	Bytes  []byte      `msgpack:"b,omitempty"`
}

type large struct {
	Area   Area        `msgpack:"a"`
	Digest task.Digest `msgpack:"d"`
	Size   int64       `msgpack:"z"`
}

type sealed struct {
	Sheaf task.Digest `msgpack:"d"`
}

type snapshot struct {
	Index uint64 `msgpack:"i"`
	Size  int64  `msgpack:"z"`
}

// Manifest says what a backup holds.
type Manifest struct {
	Format      uint16         `msgpack:"v" json:"format"`
	Cluster     task.ClusterID `msgpack:"c" json:"cluster"`
	Index       uint64         `msgpack:"i" json:"index"`        // of the last log entry in the snapshot
	State       task.Digest    `msgpack:"d" json:"state_digest"` // of the snapshot
	Now         task.Millis    `msgpack:"n" json:"time_ms"`      // cluster time of the snapshot
	Wall        int64          `msgpack:"w" json:"wall_ms"`      // Unix milliseconds at which the snapshot was taken, by the clock of whoever took it
	Public      int64          `msgpack:"p" json:"public_blobs"`
	PublicBytes int64          `msgpack:"b" json:"public_bytes"`
	Outputs     int64          `msgpack:"o" json:"outputs"`
	OutputBytes int64          `msgpack:"u" json:"output_bytes"`
	Gone        int64          `msgpack:"k" json:"gone"` // blobs of ended jobs that the cluster does not have any more
	Sum         task.Digest    `msgpack:"s" json:"sum"`  // of all bytes before the manifest
}

func (m *Manifest) count(a Area, bytes int64) {
	if a == Public {
		m.Public, m.PublicBytes = m.Public+1, m.PublicBytes+bytes
	} else {
		m.Outputs, m.OutputBytes = m.Outputs+1, m.OutputBytes+bytes
	}
}

const (
	encodingPlain = 0
	encodingZstd  = 1
)

// coder packs and unpacks payloads.
type coder struct {
	in  *zstd.Encoder
	out *zstd.Decoder
}

func newCoder() (*coder, error) {
	in, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(partBytes), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, fmt.Errorf("start zstd: %w", err)
	}
	out, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPlain), zstd.WithDecoderMaxWindow(maxPlain))
	if err != nil {
		return nil, fmt.Errorf("start zstd: %w", err)
	}
	return &coder{in, out}, nil
}

// payload is plain as a frame holds it: compressed where that saves a sixteenth.
func (c *coder) payload(plain []byte) []byte {
	b := c.in.EncodeAll(plain, []byte{encodingZstd})
	if len(b) < len(plain)-len(plain)/16 {
		return b
	}
	return append([]byte{encodingPlain}, plain...)
}

// plain reverses payload.
func (c *coder) plain(payload []byte) ([]byte, error) {
	if len(payload) == 0 {
		return nil, fmt.Errorf("%w: an empty frame", wire.ErrMalformed)
	}
	switch payload[0] {
	case encodingPlain:
		return payload[1:], nil
	case encodingZstd:
		b, err := c.out.DecodeAll(payload[1:], nil)
		if err != nil {
			return nil, fmt.Errorf("%w: zstd: %v", wire.ErrMalformed, err) // its own ends of file are not the file's
		}
		return b, nil
	}
	return nil, fmt.Errorf("%w: encoding %d is not known", wire.ErrMalformed, payload[0])
}
