package publisher

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// results brings the results of one level into the folder.
func (f *fetcher) results(ctx context.Context, level uint8) (*ManifestLevel, *tally, error) {
	if l, t := f.earlierResults(level); t != nil {
		f.meter.count(func(p *Progress) { p.Results += t.released })
		return l, t, nil
	}
	t := &tally{tasks: f.spec.Count(level)}
	l := &ManifestLevel{Level: level, Tasks: t.tasks, Results: resultsName(level)}
	err := f.dir.replace(l.Results, true, func(w io.Writer) error {
		sum := sha256.New()
		out := &counter{w: io.MultiWriter(w, sum)}
		err := f.pages(ctx, level, t, out)
		l.Digest, l.Bytes = task.Digest(sum.Sum(nil)), out.n
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	l.Released, l.Failed, l.Root = t.released, t.failed, t.root()
	return l, t, nil
}

// earlierResults takes what an earlier fetch left, if it gives the root that
// the coordinator states: then nothing in it that counts can be wrong.
func (f *fetcher) earlierResults(level uint8) (*ManifestLevel, *tally) {
	if int(level) >= len(f.view.Levels) || f.view.Levels[level].Root.IsZero() {
		return nil, nil
	}
	file, err := openRegular(f.dir.root, resultsName(level))
	if err != nil {
		return nil, nil
	}
	defer file.Close()
	sum := sha256.New()
	in := &counter{w: sum}
	t, err := tallyResults(io.TeeReader(file, in), f.spec.Count(level), nil)
	if err != nil || t.root() != f.view.Levels[level].Root {
		return nil, nil
	}
	return &ManifestLevel{
		Level: level, Tasks: t.tasks, Released: t.released, Failed: t.failed, Root: t.root(),
		Results: resultsName(level), Digest: task.Digest(sum.Sum(nil)), Bytes: in.n,
	}, t
}

// pages writes all released results of a level, one a line.
func (f *fetcher) pages(ctx context.Context, level uint8, t *tally, w io.Writer) error {
	if int(level) >= len(f.view.Levels) {
		return nil // not opened yet
	}
	var line bytes.Buffer
	for from := uint64(0); from < t.tasks; {
		page, err := f.source.Results(ctx, f.job, level, from, protocol.MaxPage)
		if err != nil {
			return err
		}
		if len(page.Results) > protocol.MaxPage {
			return wrongAnswer("a page of %d results, at most %d were asked for", len(page.Results), protocol.MaxPage)
		}
		line.Reset()
		for i := range page.Results {
			l := newResultLine(page.Results[i])
			if l.Index < from {
				return wrongAnswer("task %d is in the page from task %d on", l.Index, from)
			}
			if err := t.add(&l); err != nil {
				return wrongAnswer("%v", err)
			}
			if err := l.encode(&line); err != nil {
				return err
			}
		}
		if _, err := w.Write(line.Bytes()); err != nil {
			return err
		}
		f.meter.count(func(p *Progress) { p.Results += uint64(len(page.Results)) })
		if page.Done {
			return nil
		}
		if page.Next <= from || page.Next < t.next {
			return wrongAnswer("the page from task %d on ends at task %d and goes on at task %d", from, t.next, page.Next)
		}
		from = page.Next
	}
	return nil
}

// counter counts what passes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// eachResult reads the results of a level that are in the folder.
func (f *fetcher) eachResult(level uint8, fn func(*ResultLine) error) error {
	file, err := openRegular(f.dir.root, resultsName(level))
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := tallyResults(file, f.spec.Count(level), fn); err != nil {
		return fmt.Errorf("%s: %w", resultsName(level), err)
	}
	return nil
}
