package publisher

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/sheafgrid/sheaf/task"
)

// outputCheck checks the outputs of one level as its results are read.
type outputCheck struct {
	*verifier
	outputs
	expected map[string]bool // names at the top of the folder

	offset int64    // of the next standard output in the file of all
	stdout *os.File // nil before it is needed, and where it cannot be read
	opened bool
	seen   []uint64 // one bit for each task that has a folder
}

// result checks the outputs of one result. An error means ctx's end.
func (c *outputCheck) result(ctx context.Context, l *ResultLine) error {
	var files []task.OutputFile
	for _, f := range l.Files {
		if c.inStdout(&f) {
			if err := c.segment(ctx, l.Index, &f); err != nil {
				return err
			}
			continue
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return ctx.Err()
	}
	dir := c.folder(l.Index)
	top, _, _ := strings.Cut(dir, "/")
	c.expected[top] = true
	if c.level == 0 {
		for uint64(len(c.seen)) <= l.Index/64 {
			c.seen = append(c.seen, 0)
		}
		c.seen[l.Index/64] |= 1 << (l.Index % 64)
	}
	return c.files(ctx, dir, files)
}

// segment checks a standard output in the file of all.
func (c *outputCheck) segment(ctx context.Context, index uint64, f *task.OutputFile) error {
	at := c.offset
	c.offset += f.Size
	file := c.open()
	if file == nil {
		return ctx.Err()
	}
	got, err := hashRange(ctx, file, at, f.Size)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.ErrUnexpectedEOF):
		c.report.add(stdoutName, "it ends before the standard output of task %d does, which is %d bytes from %d on", index, f.Size, at)
	case err != nil:
		c.report.add(stdoutName, "it cannot be read: %v", err)
	case got != f.Digest:
		c.report.add(stdoutName, "the standard output of task %d was altered: the %d bytes from %d on have digest %s, the result says %s",
			index, f.Size, at, got, f.Digest)
	default:
		c.right(f)
	}
	return nil
}

// open opens the file of all standard outputs, once.
func (c *outputCheck) open() *os.File {
	if c.opened {
		return c.stdout
	}
	c.opened = true
	c.expected[stdoutName] = true
	var err error
	if c.stdout, err = openRegular(c.root, stdoutName); err != nil {
		c.unreadable(stdoutName, err)
	}
	return c.stdout
}

func (c *outputCheck) right(f *task.OutputFile) {
	c.report.Files++
	if c.level > 0 {
		c.report.Reduced++
	}
	c.report.Bytes += f.Size
}

// finish looks for what is there beyond the results.
func (c *outputCheck) finish(ctx context.Context) error {
	if c.concat {
		if file := c.open(); file != nil {
			if info, err := file.Stat(); err != nil {
				c.unreadable(stdoutName, err)
			} else if info.Size() > c.offset {
				c.report.add(stdoutName, "it has %d bytes, the standard outputs of all tasks have %d", info.Size(), c.offset)
			}
		}
	}
	if c.level != 0 || !c.expected[tasksName] {
		return ctx.Err()
	}
	dir, err := c.root.Open(tasksName)
	if err != nil {
		return nil // each of its files was reported
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(1024)
		for _, e := range entries {
			if !c.isTask(e.Name()) && !litter(e.Name()) {
				c.extra(tasksName+"/"+e.Name(), e)
			}
		}
		if err != nil || ctx.Err() != nil {
			if err != nil && err != io.EOF {
				c.unreadable(tasksName, err)
			}
			return ctx.Err()
		}
	}
}

// isTask reports whether a name is that of a task with outputs.
func (c *outputCheck) isTask(name string) bool {
	i, err := strconv.ParseUint(name, 10, 64)
	return err == nil && taskFolder(i) == tasksName+"/"+name && i/64 < uint64(len(c.seen)) && c.seen[i/64]&(1<<(i%64)) != 0
}

// expectAll is for results that cannot be read: then nobody can tell which
// outputs are extra, and the results are reported anyhow.
func (c *outputCheck) expectAll() {
	for _, name := range []string{stdoutName, tasksName, reducedName} {
		c.expected[name] = true
	}
}

func (c *outputCheck) close() {
	if c.stdout != nil {
		_ = c.stdout.Close()
	}
}

// files checks a folder that should hold exactly these files.
func (c *outputCheck) files(ctx context.Context, dir string, want []task.OutputFile) error {
	folders := map[string]bool{dir: true}
	for _, f := range want {
		for d := path.Dir(f.Name); d != "."; d = path.Dir(d) {
			folders[dir+"/"+d] = true
		}
	}
	there := map[string]fs.DirEntry{}
	c.walk(dir, folders, there)
	for i := range want {
		name := dir + "/" + want[i].Name
		if !c.claim(name, there) {
			c.report.add(name, "it is missing")
			continue
		}
		if err := c.file(ctx, name, &want[i]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if !litter(path.Base(name)) {
			c.extra(name, there[name])
		}
	}
	return nil
}

// walk collects what is in a folder, and in those below it that should be
// there, following no links.
func (c *outputCheck) walk(dir string, folders map[string]bool, there map[string]fs.DirEntry) {
	info, err := c.root.Lstat(dir)
	if err != nil || !info.IsDir() {
		return // its files are reported as missing
	}
	entries, err := readFolder(c.root, dir)
	if err != nil {
		c.unreadable(dir, err)
	}
	for _, e := range entries {
		name := dir + "/" + e.Name()
		switch {
		case e.IsDir() && folders[name]:
			c.walk(name, folders, there)
		case e.IsDir() || e.Type().IsRegular():
			there[name] = e
		default:
			c.report.add(name, "it is %s, want a file", kindOf(e.Type()))
		}
	}
}

// claim takes a file out of what is there, and reports whether it was there.
// A file system that folds case or accents may show it under another name.
func (c *outputCheck) claim(name string, there map[string]fs.DirEntry) bool {
	if e, ok := there[name]; ok && e.Type().IsRegular() {
		delete(there, name)
		return true
	}
	info, err := c.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	for other, e := range there {
		if same, err := e.Info(); err == nil && os.SameFile(info, same) {
			delete(there, other)
			return true
		}
	}
	return false
}

// file checks one output that is a file of its own.
func (c *outputCheck) file(ctx context.Context, name string, want *task.OutputFile) error {
	f, err := openRegular(c.root, name)
	if err != nil {
		c.unreadable(name, err)
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() != want.Size {
		c.report.add(name, "it was altered: it has %d bytes, the result says %d", info.Size(), want.Size)
		return nil
	}
	got := task.Digest{}
	if err == nil {
		got, err = hashRange(ctx, f, 0, want.Size)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		c.report.add(name, "it cannot be read: %v", err)
	case got != want.Digest:
		c.report.add(name, "it was altered: its digest is %s, the result says %s", got, want.Digest)
	default:
		c.right(want)
	}
	return nil
}

// maxEntries bounds how much of one folder is looked at: none that was fetched
// has as many.
const maxEntries = 100_000

// readFolder lists a folder.
func readFolder(root *os.Root, dir string) ([]fs.DirEntry, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(maxEntries)
	if err == io.EOF {
		err = nil
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}
