package consensus

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

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

func newSegments(dir string, disk logDisk) segments {
	return segments{segment.NewFiler(dir, syncedFiles{disk})}
}

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

// finishRotation goes on where a process ended that had filled a file of the
// log, and had not noted yet that the next one is written: raft-wal 0.4.1 and
// 0.4.2 open such a log and refuse, for ever, to write to it.
func (s segments) finishRotation(dir string, meta types.MetaStore) error {
	state, err := meta.Load(dir)
	if err != nil || len(state.Segments) == 0 {
		return err
	}
	tail := &state.Segments[len(state.Segments)-1]
	if !tail.SealTime.IsZero() {
		return nil
	}
	w, err := s.RecoverTail(*tail)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is made when the log is opened
	}
	if err != nil {
		return err
	}
	full, indexStart, err := w.Sealed()
	last := w.LastIndex()
	if err := errors.Join(err, w.Close()); err != nil || !full {
		return err
	}
	now := time.Now()
	tail.SealTime, tail.MaxIndex, tail.IndexStart = now, last, indexStart
	state.Segments = append(state.Segments, types.SegmentInfo{
		ID: state.NextSegmentID, BaseIndex: last + 1, MinIndex: last + 1, SizeLimit: tail.SizeLimit, Codec: tail.Codec, CreateTime: now,
	})
	state.NextSegmentID++
	return meta.CommitState(state)
}
