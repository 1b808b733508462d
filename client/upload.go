package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// upload sends the outputs of a result that are too large for an exchange, so
// that its report can be sent; their list travels in the report.
func (r *run) upload(ctx context.Context, h *held) {
	ctx, h.stop = context.WithCancel(ctx)
	h.stage = plan.StageUploading
	path, files := protocol.OutputsPath(h.attempt.ID), h.result.Uploads
	r.work(func() func() error {
		err := r.uploadAll(ctx, path, files)
		return func() error { return r.uploaded(ctx, h, err) }
	})
}

func (r *run) uploadAll(ctx context.Context, path string, files []task.OutputFile) error {
	sent := map[task.Digest]bool{}
	for _, f := range files {
		if sent[f.Digest] {
			continue
		}
		sent[f.Digest] = true
		err := r.remote.Upload(ctx, r.host, path, f.Digest, f.Size, func() (io.ReadCloser, error) {
			file, err := os.Open(r.outputs.path(f.Digest))
			if err != nil {
				return nil, diskError(err)
			}
			return outputFile{file}, nil
		})
		if err != nil {
			return fmt.Errorf("output %q: %w", f.Name, err)
		}
	}
	return nil
}

// outputFile is an output that is read from the disk, whose errors say so.
type outputFile struct{ *os.File }

func (f outputFile) Read(b []byte) (int, error) {
	n, err := f.File.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = diskError(err)
	}
	return n, err
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
		h.reportable()
		return nil
	case stopped:
		h.stage = plan.StageFinished
		return nil
	case errors.Is(err, errDisk) && !errors.Is(err, fs.ErrNotExist):
		// The file may be readable again later: the result is worth the wait.
		r.inTrouble(err)
		h.stage, h.retryAt = plan.StageFinished, r.trouble.until
		return nil
	}
	if !errors.Is(err, errDisk) && retry(h, err) {
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
	h.reportable()
	r.counts.Failed++
	r.tell(EventFailed, h, text)
	return nil
}
