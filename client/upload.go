package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// upload sends the outputs of a result, and then their list, so that its report
// can be sent.
func (r *run) upload(ctx context.Context, h *held) {
	ctx, h.stop = context.WithCancel(ctx)
	h.stage = plan.StageUploading
	files, list := h.result.Uploads, h.result.Report.Outputs
	r.work(func() func() error {
		err := r.uploadAll(ctx, files, list)
		return func() error { return r.uploaded(ctx, h, err) }
	})
}

func (r *run) uploadAll(ctx context.Context, files []task.OutputFile, list []byte) error {
	sent := map[task.Digest]bool{}
	for _, f := range files {
		if sent[f.Digest] {
			continue
		}
		sent[f.Digest] = true
		err := r.remote.Upload(ctx, r.host, protocol.PathOutputs, f.Digest, f.Size, func() (io.ReadCloser, error) {
			file, err := os.Open(r.outputs.path(f.Digest))
			if err != nil {
				return nil, diskError(err)
			}
			return file, nil
		})
		if err != nil {
			return fmt.Errorf("output %q: %w", f.Name, err)
		}
	}
	err := r.remote.Upload(ctx, r.host, protocol.PathOutputs, task.Sum(list), int64(len(list)), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(list)), nil
	})
	if err != nil {
		return fmt.Errorf("list of outputs: %w", err)
	}
	return nil
}

// uploaded takes the end of an upload.
func (r *run) uploaded(ctx context.Context, h *held, err error) error {
	stopped := ctx.Err() != nil
	h.stop()
	h.stop = nil
	switch {
	case h.stopping && (h.then != plan.Stop || err != nil):
		return r.settle(h, h.then, h.why)
	case err == nil:
		h.stopping = false
		if err := r.journal.Uploaded(h.attempt.ID); err != nil {
			return err
		}
		h.result.Uploads = nil
		h.stage = plan.StageReportable
		return nil
	case stopped:
		h.stage = plan.StageFinished
		return nil
	}
	if retry(h, err) && !errors.Is(err, errDisk) {
		h.stage = plan.StageFinished
		return nil
	}
	return r.withdraw(h, fmt.Sprintf("its outputs could not be uploaded: %v", err))
}

// withdraw gives back an attempt whose result cannot be delivered.
func (r *run) withdraw(h *held, text string) error {
	result := failed(h, protocol.FailureAbandoned, text)
	if err := r.journal.Replace(*result); err != nil {
		return err
	}
	r.outputs.drop(onDisk(&h.result.Report))
	h.result = result
	h.stage = plan.StageReportable
	r.counts.Failed++
	r.tell(EventFailed, h, text)
	return nil
}
