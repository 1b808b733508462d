package publisher

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// VerifyOptions name what is known of a job from elsewhere: from its page,
// from somebody else's copy, from a paper. A zero root is not compared.
type VerifyOptions struct {
	ResultRoot task.Digest
	ReduceRoot task.Digest
}

// Verify recomputes everything that a fetched folder says, with nothing but
// the folder: the digest of every output, of every list of outputs, every leaf
// and the roots, and compares them with the manifest and with options. It
// reads all of it and changes nothing.
//
// What is wrong is in the report, and then the error is ErrNotVerified. A
// folder that holds no manifest, or cannot be opened, is ErrManifest. Other
// errors are those of ctx.
func Verify(ctx context.Context, dir string, options VerifyOptions) (*Report, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	defer root.Close()
	m, damaged, err := readManifest(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s in %s, so nothing was fetched into it", ErrManifest, manifestName, dir)
	}
	v := &verifier{root: root, report: &Report{}}
	switch {
	case err != nil:
		v.report.add(manifestName, "%v", err)
	case damaged != nil:
		v.report.add(manifestName, "it was altered: %v", damaged)
	case !m.Finished:
		v.report.add(manifestName, "the fetch into this folder was interrupted; run it again, it goes on from here")
	}
	if err == nil {
		v.report.Manifest = m
	}
	if err == nil && m.Finished {
		if err := v.run(ctx, m, options); err != nil {
			return v.report, err
		}
	}
	return v.report, v.report.err()
}

// verifier is one run of Verify.
type verifier struct {
	root   *os.Root
	report *Report
}

func (v *verifier) run(ctx context.Context, m *Manifest, options VerifyOptions) error {
	v.specification(m)
	expected := map[string]bool{manifestName: true, specName: true}
	held := map[uint8]outputs{}
	for _, o := range outputsOf(m.Spec.Collect, uint8(len(m.Levels)), m.onlyReduced()) {
		held[o.level] = o
	}
	for i := range m.Levels {
		l := &m.Levels[i]
		expected[l.Results] = true
		var c *outputCheck
		if o, ok := held[l.Level]; ok {
			c = &outputCheck{verifier: v, outputs: o, expected: expected}
			defer c.close()
		}
		t, err := v.results(ctx, l, c)
		if err != nil {
			return err
		}
		if l.Level == 0 {
			v.report.Released, v.report.Failed, v.report.Errors, v.report.Empty = t.released, t.failed, t.errors, t.empty
		} else {
			v.report.Unreduced += t.errors + t.failed
		}
	}
	v.known("result", options.ResultRoot, m.ResultRoot)
	v.known("reduce", options.ReduceRoot, m.ReduceRoot)
	return v.extras(expected)
}

// known compares a root with what is known from elsewhere. That the root
// follows from the results was checked before.
func (v *verifier) known(which string, want, got task.Digest) {
	switch {
	case want.IsZero() || want == got:
	case got.IsZero():
		v.report.add(manifestName, "not all results are here, so they have no %s root; expected is %s", which, want)
	default:
		v.report.add(manifestName, "the %s root is %s, expected is %s", which, got, want)
	}
}

// specification compares spec.bin with its digest, and with what the manifest
// says in words.
func (v *verifier) specification(m *Manifest) {
	b, err := readRegular(v.root, specName, protocol.MaxSpec)
	if err != nil {
		v.unreadable(specName, err)
		return
	}
	if got := task.Sum(b); got != m.SpecDigest {
		v.report.add(specName, "it was altered: its digest is %s, the manifest says %s", got, m.SpecDigest)
		return
	}
	spec, err := protocol.DecodeSpec(b)
	if err != nil {
		v.report.add(specName, "%v", err)
		return
	}
	text, err := encodeJSON(newSpecText(spec))
	shown, err2 := encodeJSON(&m.Spec)
	if err != nil || err2 != nil || !bytes.Equal(text, shown) || m.Name != spec.Name {
		v.report.add(manifestName, "it describes another job than %s", specName)
	}
	if int(spec.Levels()) != len(m.Levels) {
		v.report.add(manifestName, "it has %d levels, the job has %d", len(m.Levels), spec.Levels())
		return
	}
	for _, l := range m.Levels {
		if n := spec.Count(l.Level); n != l.Tasks {
			v.report.add(manifestName, "level %d has %d tasks, the job has %d", l.Level, l.Tasks, n)
		}
	}
}

// results checks one file of results, and with c the outputs that it lists.
func (v *verifier) results(ctx context.Context, l *ManifestLevel, c *outputCheck) (*tally, error) {
	t := &tally{tasks: l.Tasks}
	f, err := openRegular(v.root, l.Results)
	if err != nil {
		v.unreadable(l.Results, err)
		if c != nil {
			c.expectAll()
		}
		return t, nil
	}
	defer f.Close()
	sum := sha256.New()
	in := io.TeeReader(reading(ctx, f), sum)
	each := func(*ResultLine) error { return ctx.Err() }
	if c != nil {
		each = func(r *ResultLine) error { return c.result(ctx, r) }
	}
	t, err = tallyResults(in, l.Tasks, each)
	if err == nil && c != nil {
		err = c.finish(ctx)
	}
	if ctx.Err() != nil {
		return t, ctx.Err()
	}
	if err != nil {
		v.report.add(l.Results, "%v", err)
		if c != nil {
			c.expectAll()
		}
		_, _ = io.Copy(io.Discard, in)
	}
	if got := task.Digest(sum.Sum(nil)); got != l.Digest {
		v.report.add(l.Results, "it was altered: its digest is %s, the manifest says %s", got, l.Digest)
	}
	if err == nil {
		v.compare(l, t)
	}
	return t, nil
}

// compare checks what the manifest says of a level against its results.
func (v *verifier) compare(l *ManifestLevel, t *tally) {
	if t.released != l.Released || t.failed != l.Failed {
		v.report.add(l.Results, "it has %d results, %d of them failed; the manifest says %d and %d", t.released, t.failed, l.Released, l.Failed)
	}
	if got := t.root(); got != l.Root {
		v.report.add(l.Results, "its results give the root %s, the manifest says %s", showRoot(got), showRoot(l.Root))
	}
}

func showRoot(d task.Digest) string {
	if d.IsZero() {
		return "none"
	}
	return d.String()
}

// extras names what lies in the folder and does not belong there.
func (v *verifier) extras(expected map[string]bool) error {
	entries, err := readFolder(v.root, ".")
	if err != nil {
		v.unreadable(".", err)
		return nil
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case litter(name):
		case !expected[name]:
			v.extra(name, e)
		case (name == tasksName || name == reducedName) && !e.IsDir():
			v.report.add(name, "it is %s, want a folder", kindOf(e.Type()))
		}
	}
	return nil
}

func (v *verifier) extra(name string, e fs.DirEntry) {
	what := "the file"
	if e.IsDir() {
		what = "the folder"
	}
	v.report.add(name, "%s does not belong to what was fetched; move it elsewhere", what)
}

// unreadable says of a file that should be there why it cannot be checked.
func (v *verifier) unreadable(name string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		v.report.add(name, "it is missing")
		return
	}
	v.report.add(name, "it cannot be read: %v", err)
}
