package blobs

import (
	"testing"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/task"
)

func FuzzOpenDigests(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(wire.Seal(frameKeep, wire.Marshal(digests{[]task.Digest{{1}, task.EmptyDigest}})))
	f.Add(wire.Seal(frameMissing, wire.Marshal(digests{})))
	f.Add(wire.Seal(frameKeep, []byte{0x81, 0xa1, 'd', 0xdd, 0xff, 0xff, 0xff, 0xff}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := openDigests(frameKeep, b); err == nil && len(d) > keepAtOnce {
			t.Errorf("%d digests were taken, at most %d", len(d), keepAtOnce)
		}
	})
}
