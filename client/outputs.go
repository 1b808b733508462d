package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// outputs keeps the outputs that are too large for a report in files named by
// their digests, until the report is acknowledged. Two tasks may leave the same
// bytes, so the results that name a file are counted. Its methods may be called
// from any goroutine; a spool belongs to the task that fills it.
type outputs struct {
	dir string

	mu   sync.Mutex
	uses map[task.Digest]int // results that name a file
}

// openOutputs makes the folder where it is missing.
func openOutputs(dir string) (*outputs, error) {
	if err := fsutil.MkdirAllSync(dir, 0o700); err != nil {
		return nil, err
	}
	return &outputs{dir: dir, uses: map[task.Digest]int{}}, nil
}

func (o *outputs) path(d task.Digest) string { return filepath.Join(o.dir, d.String()) }

// keep counts a result that names files, and drop one that is gone.
func (o *outputs) keep(files []task.OutputFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range files {
		o.uses[f.Digest]++
	}
}

func (o *outputs) drop(files []task.OutputFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range files {
		if o.uses[f.Digest]--; o.uses[f.Digest] <= 0 {
			delete(o.uses, f.Digest)
			_ = os.Remove(o.path(f.Digest)) // sweep tries again at the next start
		}
	}
}

// sweep removes what no result names. No task may run meanwhile.
func (o *outputs) sweep() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	files, err := os.ReadDir(o.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if d, err := task.ParseDigest(f.Name()); err == nil && o.uses[d] > 0 {
			continue
		}
		if err := os.RemoveAll(filepath.Join(o.dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// onDisk lists the outputs of a report that are in files: those of a list whose
// contents do not travel with it.
func onDisk(r *protocol.Report) []task.OutputFile {
	if r.Failure != protocol.FailureNone || len(r.Inline) > 0 {
		return nil
	}
	list, err := task.DecodeOutputList(r.Outputs)
	if err != nil {
		return nil
	}
	return list
}

// spool takes the outputs of one task as the sandbox hands them over: in memory
// while they fit into a report, and in files when they turn out not to.
type spool struct {
	outputs *outputs
	files   []*spooled
	size    int64
	failed  error // of the disk
}

// spooled is one output, in memory or in a file.
type spooled struct {
	memory bytes.Buffer
	file   *os.File
	spool  *spool
}

// next is the writer for the next output, of so many bytes.
func (s *spool) next(_ string, size int64) (io.Writer, error) {
	f := &spooled{spool: s}
	s.files = append(s.files, f)
	if s.size += size; s.size > protocol.MaxInline {
		file, err := os.CreateTemp(s.outputs.dir, unfinished+"*")
		if err != nil {
			return nil, s.fail(err)
		}
		f.file = file
	}
	return f, nil
}

func (s *spool) fail(err error) error {
	s.failed = diskError(err)
	return s.failed
}

// Write takes bytes of the output.
func (f *spooled) Write(b []byte) (int, error) {
	if f.file == nil {
		return f.memory.Write(b)
	}
	n, err := f.file.Write(b)
	if err != nil {
		return n, f.spool.fail(err)
	}
	return n, nil
}

// inline are the outputs' bytes where they fit into a report; otherwise nil.
func (s *spool) inline() [][]byte {
	if s.size > protocol.MaxInline {
		return nil
	}
	var all [][]byte
	for _, f := range s.files {
		all = append(all, f.memory.Bytes())
	}
	return all
}

// settle puts large outputs onto the disk under their digests, for good, and
// counts them as kept.
func (s *spool) settle(list task.OutputList) error {
	if len(list) != len(s.files) {
		return fmt.Errorf("%d outputs are listed, %d came", len(list), len(s.files))
	}
	if s.size <= protocol.MaxInline {
		return nil
	}
	s.outputs.keep(list)
	var err error
	for i, f := range s.files {
		if err == nil {
			err = f.settle(s.outputs.path(list[i].Digest))
		}
	}
	if err == nil {
		err = fsutil.SyncDir(s.outputs.dir)
	}
	if err != nil {
		s.outputs.drop(list)
		return s.fail(err)
	}
	return nil
}

func (f *spooled) settle(path string) error {
	if f.file == nil {
		return fsutil.WriteFileAtomic(path, f.memory.Bytes(), 0o600)
	}
	if err := errors.Join(f.file.Sync(), f.file.Close()); err != nil {
		return err
	}
	return os.Rename(f.file.Name(), path)
}

// discard removes what settle did not take.
func (s *spool) discard() {
	for _, f := range s.files {
		if f.file != nil {
			_ = f.file.Close()
			_ = os.Remove(f.file.Name())
		}
	}
}
