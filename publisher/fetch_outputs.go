package publisher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/task"
)

// outputs brings the outputs of one level into the folder.
func (f *fetcher) outputs(ctx context.Context, o outputs, t *tally) error {
	var all *stdoutFile
	if o.concat {
		var err error
		if all, err = f.openStdout(ctx, o, t); err != nil {
			return err
		}
		defer all.abandon()
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(f.parallel)
	offset := int64(0)
	err := f.eachResult(o.level, func(l *ResultLine) error {
		for k := range l.Files {
			if err := ctx.Err(); err != nil {
				return err
			}
			file := l.Files[k]
			w := wanted{level: o.level, index: l.Index, place: k, file: file}
			if o.inStdout(&file) {
				at := offset
				offset += file.Size
				g.Go(func() error { return f.segment(ctx, all, at, w) })
				continue
			}
			name := o.folder(l.Index) + "/" + file.Name
			if err := f.dir.mkdirs(name); err != nil {
				return err
			}
			g.Go(func() error { return f.file(ctx, name, w) })
		}
		return nil
	})
	if e := g.Wait(); e != nil {
		return e // the first fault; err is at most the end that it put to the loop
	}
	if err != nil || all == nil {
		return err
	}
	return all.finish()
}

// wanted is one output to fetch.
type wanted struct {
	level uint8
	index uint64
	place int
	file  task.OutputFile
}

// file brings one output into a file of its own.
func (f *fetcher) file(ctx context.Context, name string, w wanted) error {
	if f.dir.holds(ctx, name, &w.file) {
		f.reused(&w.file)
		return nil
	}
	return f.dir.replace(name, false, func(to io.Writer) error { return f.download(ctx, to, w) })
}

// segment brings one standard output into the file of all.
func (f *fetcher) segment(ctx context.Context, all *stdoutFile, offset int64, w wanted) error {
	if all.whole {
		f.reused(&w.file)
		return nil
	}
	if !all.fresh {
		if got, err := hashRange(ctx, all.file, offset, w.file.Size); err == nil && got == w.file.Digest {
			f.reused(&w.file)
			return nil
		}
	}
	if err := f.download(ctx, io.NewOffsetWriter(all.file, offset), w); err != nil {
		return fmt.Errorf("%s: %w", stdoutPartName, f.dir.explain(err))
	}
	return nil
}

func (f *fetcher) reused(file *task.OutputFile) {
	f.meter.count(func(p *Progress) {
		p.Files++
		p.Reused++
		p.Bytes += file.Size
	})
}

func (f *fetcher) download(ctx context.Context, to io.Writer, w wanted) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := f.source.Output(ctx, f.job, w.level, w.index, w.place)
	if err != nil {
		return err
	}
	defer body.Close()
	moved := int64(0)
	err = copyChecked(ctx, to, body, &w.file, func(n int64) {
		moved += n
		f.meter.count(func(p *Progress) { p.Bytes += n })
	})
	if err != nil {
		f.meter.count(func(p *Progress) { p.Bytes -= moved })
		return fmt.Errorf("%s of task %d of level %d: %w", w.file.Name, w.index, w.level, err)
	}
	f.meter.count(func(p *Progress) { p.Files++ })
	return nil
}

// stdoutFile is the file of all standard outputs. It is filled under another
// name, in any order: each output has its place.
type stdoutFile struct {
	dir   *folder
	file  *os.File // nil once it is closed
	whole bool     // an earlier fetch finished it, and it is right
	fresh bool     // nothing of an earlier fetch is in it
}

// openStdout prepares the file. Where an earlier fetch left one, it is kept if
// all of it is right, and taken apart to be mended otherwise.
func (f *fetcher) openStdout(ctx context.Context, o outputs, t *tally) (*stdoutFile, error) {
	root := f.dir.root
	if f.wholeStdout(ctx, o, t) {
		return &stdoutFile{dir: f.dir, whole: true}, nil
	}
	if _, err := root.Lstat(stdoutName); err == nil {
		if err := root.Rename(stdoutName, stdoutPartName); err != nil {
			return nil, err
		}
	}
	info, err := root.Lstat(stdoutPartName)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err == nil && !info.Mode().IsRegular() {
		fresh, err = true, root.Remove(stdoutPartName)
	}
	if err != nil && !fresh {
		return nil, err
	}
	file, err := root.OpenFile(stdoutPartName, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, f.dir.explain(err)
	}
	s := &stdoutFile{dir: f.dir, file: file, fresh: fresh}
	if err := file.Truncate(t.stdout); err != nil {
		s.abandon()
		return nil, f.dir.explain(err)
	}
	return s, nil
}

// errNotThere ends a comparison early.
var errNotThere = errors.New("not there")

func (f *fetcher) wholeStdout(ctx context.Context, o outputs, t *tally) bool {
	file, err := openRegular(f.dir.root, stdoutName)
	if err != nil {
		return false
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Size() != t.stdout {
		return false
	}
	offset := int64(0)
	err = f.eachResult(o.level, func(l *ResultLine) error {
		for k := range l.Files {
			if !o.inStdout(&l.Files[k]) {
				continue
			}
			got, err := hashRange(ctx, file, offset, l.Files[k].Size)
			if err != nil || got != l.Files[k].Digest {
				return errNotThere
			}
			offset += l.Files[k].Size
		}
		return nil
	})
	return err == nil
}

// finish gives the file its name.
func (s *stdoutFile) finish() error {
	if s.whole {
		return nil
	}
	err := s.file.Sync()
	if e := s.file.Close(); err == nil {
		err = e
	}
	s.file = nil
	if err == nil {
		err = s.dir.root.Rename(stdoutPartName, stdoutName)
	}
	if err != nil {
		return s.dir.explain(err)
	}
	return nil
}

// abandon leaves what is there for the next fetch.
func (s *stdoutFile) abandon() {
	if s.file != nil {
		_ = s.file.Close()
	}
}
