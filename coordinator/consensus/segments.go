package consensus

import (
	"fmt"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// segments opens the files of the log, those among them that raft-wal 0.4.0
// left without an index, too. It sealed a file without writing one when the end
// of the log was cut off, as happens on a former leader whose last entries were
// never committed; the next start of the node then could not read it, for ever
// (hashicorp/raft-wal issue 31, mended in 0.4.1 for new files). Such a file is
// whole but for its index: it is read through like a tail, and its metadata
// says which of its entries are still in the log.
type segments struct{ types.SegmentFiler }

func newSegments(dir string) segments { return segments{segment.NewFiler(dir, fs.New())} }

// Open opens a sealed file.
func (s segments) Open(info types.SegmentInfo) (types.SegmentReader, error) {
	if info.IndexStart != 0 {
		return s.SegmentFiler.Open(info)
	}
	w, err := s.SegmentFiler.RecoverTail(info)
	if err != nil {
		return nil, err
	}
	if last := w.LastIndex(); last < info.MaxIndex {
		return nil, fmt.Errorf("%w: the file that begins with entry %d ends with entry %d, not %d", types.ErrCorrupt, info.BaseIndex, last, info.MaxIndex)
	}
	return w, nil
}
