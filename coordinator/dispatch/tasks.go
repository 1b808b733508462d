package dispatch

import (
	"context"
	"fmt"
	"sync"

	"github.com/sheafgrid/sheaf/task"
)

// Pages reads index pages, which are public blobs.
type Pages interface {
	ReadAll(ctx context.Context, digest task.Digest, limit int64) ([]byte, error)
}

// maxPageBytes bounds an index page or list. A list of the pages of the
// largest job split by lines has 2 MiB.
const maxPageBytes = 64 << 20

// maxCached bounds the bytes of pages and lists that are kept in memory.
const maxCached = 64 << 20

// Tasks makes the tasks of jobs, with the pages of their indexes where they
// have one. It keeps the pages it used last.
type Tasks struct {
	pages Pages

	mu    sync.Mutex
	cache map[task.Digest][]byte
	order []task.Digest // oldest first
	bytes int
}

// NewTasks reads index pages from pages.
func NewTasks(pages Pages) *Tasks {
	return &Tasks{pages: pages, cache: map[task.Digest][]byte{}}
}

// Of makes task i of a level of a job. index is the stage's list of pages.
func (t *Tasks) Of(ctx context.Context, job task.JobID, spec *task.JobSpec, level uint8, index task.Digest, i uint64) (task.Task, error) {
	if !spec.HasIndex(level) {
		return spec.Task(job, level, i, nil)
	}
	list, err := t.read(ctx, index)
	if err != nil {
		return task.Task{}, fmt.Errorf("index of level %d of job %s: %w", level, job, err)
	}
	digest, err := task.PageDigest(list, spec.PageOf(level, i))
	if err != nil {
		return task.Task{}, fmt.Errorf("job %s: %w", job, err)
	}
	page, err := t.read(ctx, digest)
	if err != nil {
		return task.Task{}, fmt.Errorf("page %d of the index of level %d of job %s: %w", spec.PageOf(level, i), level, job, err)
	}
	return spec.Task(job, level, i, page)
}

func (t *Tasks) read(ctx context.Context, digest task.Digest) ([]byte, error) {
	t.mu.Lock()
	b, ok := t.cache[digest]
	t.mu.Unlock()
	if ok {
		return b, nil
	}
	b, err := t.pages.ReadAll(ctx, digest, maxPageBytes)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.cache[digest]; !ok {
		t.cache[digest] = b
		t.order = append(t.order, digest)
		t.bytes += len(b)
	}
	for t.bytes > maxCached && len(t.order) > 1 {
		t.bytes -= len(t.cache[t.order[0]])
		delete(t.cache, t.order[0])
		t.order = t.order[1:]
	}
	return b, nil
}
