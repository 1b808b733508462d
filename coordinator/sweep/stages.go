package sweep

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// maxListBytes bounds a list of outputs, in bytes: 1,026 names of 255 bytes.
const maxListBytes = 1 << 20

// nextLevel is a job whose current level is released and has one above it.
type nextLevel struct {
	job   task.JobNumber
	id    task.JobID
	spec  *task.JobSpec
	stage task.StageID
	level uint8 // the one to open
}

// openStages opens the next level of jobs whose current one is released.
func (s *Sweeper) openStages(ctx context.Context) (bool, error) {
	var due []nextLevel
	s.node.View(func(st *state.State) {
		for stage, ok := st.NextReleased(0); ok; stage, ok = st.NextReleased(stage + 1) {
			n := st.Stage(stage).Job
			j, spec := st.Job(n)
			due = append(due, nextLevel{job: n, id: j.ID, spec: spec, stage: stage, level: st.Stage(stage).Level + 1})
		}
	})
	// A job whose outputs cannot be read now holds up no other.
	var failed []error
	for _, d := range due {
		index, err := s.buildIndex(ctx, d)
		if err != nil {
			failed = append(failed, fmt.Errorf("level %d of job %s: %w", d.level, d.id, err))
			continue
		}
		if _, err := s.node.Propose(ctx, &state.OpenStage{Job: d.job, Level: d.level, Index: index}); err != nil {
			return true, err
		}
		s.log.Info("opened a level of a reduction", "job", d.id, "level", d.level, "tasks", d.spec.Count(d.level))
	}
	return len(due) > 0, errors.Join(failed...)
}

// buildIndex writes the pages that describe the tasks of a reduction's level,
// and makes the outputs that they read readable for volunteers.
func (s *Sweeper) buildIndex(ctx context.Context, d nextLevel) (task.Digest, error) {
	var pages []task.Digest
	for i := range d.spec.Count(d.level) {
		page, err := s.buildPage(ctx, d, i)
		if err != nil {
			return task.Digest{}, err
		}
		digest := task.Sum(page)
		if err := s.blobs.PutPublicLarge(ctx, digest, int64(len(page)), bytes.NewReader(page)); err != nil {
			return task.Digest{}, err
		}
		pages = append(pages, digest)
	}
	list := task.EncodeIndex(pages)
	digest := task.Sum(list)
	return digest, s.blobs.PutPublicLarge(ctx, digest, int64(len(list)), bytes.NewReader(list))
}

func (s *Sweeper) buildPage(ctx context.Context, d nextLevel, i uint64) ([]byte, error) {
	var page task.ReducePage
	var lists []task.Digest
	from, to := d.spec.ReduceGroup(d.level, i)
	for k := from; k < to; k++ {
		chunk, err := s.archive.Chunk(ctx, d.stage, k/state.ChunkTasks)
		var t *sheaves.Task
		if chunk != nil {
			t = chunk.Task(k)
		}
		if err == nil && t == nil {
			err = fmt.Errorf("task %d is not released", k)
		}
		if err != nil {
			return nil, err
		}
		if t.Fail == 0 && t.Result.Exit == 0 {
			page.Inputs = append(page.Inputs, task.ReduceInput{Index: k})
			lists = append(lists, t.Result.Output)
		}
	}
	for k, digest := range lists {
		b, err := s.archive.ReadOutput(ctx, d.stage, page.Inputs[k].Index, digest, maxListBytes)
		if err != nil {
			return nil, fmt.Errorf("outputs of task %d: %w", page.Inputs[k].Index, err)
		}
		list, err := task.DecodeOutputList(b)
		if err != nil {
			return nil, fmt.Errorf("outputs of task %d: %w", page.Inputs[k].Index, err)
		}
		if err := s.publish(ctx, d.stage, page.Inputs[k].Index, list); err != nil {
			return nil, fmt.Errorf("outputs of task %d: %w", page.Inputs[k].Index, err)
		}
		page.Inputs[k].Outputs = list
	}
	return page.Encode(), nil
}

// publish makes a task's outputs readable for the volunteers that reduce them:
// the small ones with one write, the others one by one.
func (s *Sweeper) publish(ctx context.Context, stage task.StageID, i uint64, list task.OutputList) error {
	var small []storage.Small
	for _, f := range list {
		if f.Size > storage.MaxSmallSize {
			if err := s.blobs.Publish(ctx, f.Digest); err != nil {
				return err
			}
			continue
		}
		b, err := s.archive.ReadOutput(ctx, stage, i, f.Digest, f.Size)
		if err != nil {
			return err
		}
		small = append(small, storage.SmallOf(b))
	}
	return s.blobs.PutPublic(ctx, small)
}
