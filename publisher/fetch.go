package publisher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// FetchOptions say what to fetch, and how.
type FetchOptions struct {
	// OnlyReduced leaves the outputs of level 0 out. Its results are fetched
	// all the same. It needs a job with a reduction.
	OnlyReduced bool

	// Parallel is how many outputs are fetched at once; 0 means 8.
	Parallel int

	// Progress, if not nil, is told how far the fetch is, by one goroutine at a
	// time. It should return soon: downloads wait for it.
	Progress func(Progress)
}

const defaultParallel = 8

// Fetched is what a fetch brought.
type Fetched struct {
	Manifest *Manifest
	Files    uint64 // outputs in the folder
	Bytes    int64  // of them
	Reused   uint64 // of Files: were there already, and are right
	Reduced  uint64 // of Files: of the reduction, not of tasks

	Released uint64 // results of level 0 in the folder
	Failed   uint64 // of Released: the attempts ran out
	Errors   uint64 // of Released: the program ended with an error or a trap
	Empty    uint64 // of Failed and Errors: left no output

	Unreduced uint64 // tasks of the reduction that ended with an error, or failed
}

// Fetch writes a job's released results and outputs into a folder, in the
// layout of the package comment, and checks each byte on the way: outputs
// against the digests that hosts voted on, results against the job's roots.
// The folder is made if it is missing. It must be empty, or hold an earlier
// fetch of the same job: then what is there and right is not fetched again, so
// an interrupted fetch is simply repeated.
//
// A job that still runs, or was cancelled, is fetched as far as it is
// released; Manifest.Complete and its Levels tell.
//
// A folder that holds anything else is ErrFolder; an answer of the coordinator
// that cannot be right is ErrAnswer. An error leaves the folder as it was, or
// with a manifest that says that the fetch is not finished; then the same call
// goes on from there.
func Fetch(ctx context.Context, source Source, job task.JobID, dir string, options FetchOptions) (*Fetched, error) {
	f, err := newFetcher(ctx, source, job, options)
	if err != nil {
		return nil, fmt.Errorf("fetch job %s: %w", job, err)
	}
	f.dir, err = openFolder(dir, f.mayWrite)
	if err != nil {
		return nil, fmt.Errorf("fetch job %s: %w", job, err)
	}
	defer f.dir.close()
	if err := f.run(ctx); err != nil {
		return nil, fmt.Errorf("fetch job %s into %s: %w", job, dir, err)
	}
	t := f.tasks
	return &Fetched{
		Manifest: f.manifest, Files: f.meter.now.Files, Bytes: f.meter.now.Bytes, Reused: f.meter.now.Reused, Reduced: f.reduced,
		Released: t.released, Failed: t.failed, Errors: t.errors, Empty: t.empty, Unreduced: f.unreduced,
	}, nil
}

// fetcher is one fetch.
type fetcher struct {
	source   Source
	job      task.JobID
	view     protocol.JobView
	spec     *task.JobSpec
	specRaw  []byte
	dir      *folder
	manifest *Manifest
	parallel int
	meter    meter
	tasks    *tally // of level 0, once its results are read
	reduced  uint64 // outputs of the reduction

	unreduced uint64 // tasks of the reduction that did not end with 0
}

// newFetcher asks what the job is.
func newFetcher(ctx context.Context, source Source, job task.JobID, o FetchOptions) (*fetcher, error) {
	f := &fetcher{source: source, job: job, parallel: o.Parallel, meter: meter{tell: o.Progress}}
	if f.parallel < 1 {
		f.parallel = defaultParallel
	}
	cluster, err := source.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	if f.view, err = source.Job(ctx, job); err != nil {
		return nil, err
	}
	if f.specRaw, err = source.Spec(ctx, job); err != nil {
		return nil, err
	}
	if f.spec, err = protocol.DecodeSpec(f.specRaw); err != nil {
		return nil, wrongAnswer("%v", err)
	}
	if err := checkView(&f.view, job, f.spec); err != nil {
		return nil, err
	}
	if o.OnlyReduced && f.spec.Reduce == nil {
		return nil, errors.New("only the reduced outputs are asked for, and the job has no reduction")
	}
	f.manifest = &Manifest{
		Format: ManifestFormat, Cluster: cluster, Job: job, Name: f.spec.Name, Project: f.view.Project, Publisher: f.view.Publisher,
		State: cleanText(f.view.State), Outputs: OutputsAll, SpecDigest: task.Sum(f.specRaw), Spec: newSpecText(f.spec),
	}
	if o.OnlyReduced {
		f.manifest.Outputs = OutputsReduced
	}
	return f, nil
}

// mayWrite refuses a folder that holds something else than this job.
func (f *fetcher) mayWrite(old *Manifest) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: it %s; fetch into a new folder", ErrFolder, fmt.Sprintf(format, args...))
	}
	switch {
	case old == nil:
		return nil
	case old.Cluster != f.manifest.Cluster || old.Job != f.job:
		return bad("holds job %s (%q) of cluster %s", old.Job, clip(old.Name), old.Cluster)
	case old.SpecDigest != f.manifest.SpecDigest:
		return bad("holds this job with another specification than the coordinator now gives")
	case old.Finished && !old.ResultRoot.IsZero() && old.ResultRoot != f.view.ResultRoot,
		old.Finished && !old.ReduceRoot.IsZero() && old.ReduceRoot != f.view.ReduceRoot:
		return bad("holds this job with result root %s, the coordinator now gives %s; compare the two", old.ResultRoot, f.view.ResultRoot)
	case !old.onlyReduced() && f.manifest.onlyReduced():
		return bad("holds the outputs of all tasks, not only the reduced ones")
	}
	return nil
}

func (f *fetcher) run(ctx context.Context) error {
	if err := f.claim(); err != nil {
		return err
	}
	all := outputsOf(f.spec.Collect, f.spec.Levels(), f.manifest.onlyReduced())
	f.meter.count(func(p *Progress) {
		for level := range f.spec.Levels() {
			p.AllResults += f.spec.Count(level)
		}
	})
	m := *f.manifest
	tallies := make([]*tally, f.spec.Levels())
	for level := range f.spec.Levels() {
		l, t, err := f.results(ctx, level)
		if err != nil {
			return fmt.Errorf("results of level %d: %w", level, err)
		}
		m.Levels, tallies[level] = append(m.Levels, *l), t
	}
	if err := f.checkRoots(&m); err != nil {
		return err
	}
	f.tasks = tallies[0]
	for _, t := range tallies[1:] {
		f.unreduced += t.errors + t.failed
	}
	for _, o := range all {
		if o.level > 0 {
			f.reduced = tallies[o.level].files
		}
		f.meter.count(func(p *Progress) {
			p.AllFiles += tallies[o.level].files
			p.AllBytes += tallies[o.level].bytes
		})
	}
	for _, o := range all {
		if err := f.outputs(ctx, o, tallies[o.level]); err != nil {
			return err
		}
	}
	m.Finished = true
	f.manifest = &m
	return f.writeManifest()
}

// claim marks the folder as this job's, and as not finished.
func (f *fetcher) claim() error {
	if err := f.writeManifest(); err != nil {
		return err
	}
	old, err := readRegular(f.dir.root, specName, protocol.MaxSpec)
	if err == nil && bytes.Equal(old, f.specRaw) {
		return nil
	}
	return f.dir.replace(specName, true, func(w io.Writer) error {
		_, err := w.Write(f.specRaw)
		return err
	})
}

func (f *fetcher) writeManifest() error {
	b, err := f.manifest.encode()
	if err != nil {
		return err
	}
	return f.dir.replace(manifestName, true, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// checkRoots compares the roots that the results give with those that the
// coordinator states.
func (f *fetcher) checkRoots(m *Manifest) error {
	for i, l := range m.Levels {
		if f.view.State == stateDone && l.Released != l.Tasks {
			return wrongAnswer("the job is done, and level %d has %d results for its %d tasks", i, l.Released, l.Tasks)
		}
	}
	last := m.Levels[len(m.Levels)-1]
	m.ResultRoot = m.Levels[0].Root
	if err := sameRoot("the result root", f.view.ResultRoot, m.ResultRoot); err != nil {
		return err
	}
	if last.Level > 0 {
		m.ReduceRoot = last.Root
	}
	if err := sameRoot("the reduce root", f.view.ReduceRoot, m.ReduceRoot); err != nil {
		return err
	}
	for i, l := range f.view.Levels {
		if err := sameRoot(fmt.Sprintf("the root of level %d", i), l.Root, m.Levels[i].Root); err != nil {
			return err
		}
	}
	return nil
}

// sameRoot compares a root that the coordinator states, if it does, with what
// the results give.
func sameRoot(what string, stated, got task.Digest) error {
	switch {
	case stated.IsZero() || stated == got:
		return nil
	case got.IsZero():
		return wrongAnswer("it states %s, %s, and not all results are there", what, stated)
	}
	return wrongAnswer("it states %s as %s, the results give %s", what, stated, got)
}
