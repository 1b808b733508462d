package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/wasm"
)

// maxIndexBytes bounds the list of pages of a lines index, and each page.
const maxIndexBytes = 8 << 20

// prepareSubmit makes sure that everything a job names is here and fits, so
// that no volunteer meets a job that cannot be computed.
func (s *Server) prepareSubmit(ctx context.Context, e *protocol.Envelope, q state.Request) (state.Command, error) {
	var p protocol.Submit
	if err := e.Decode(&p); err != nil {
		return nil, err
	}
	spec, err := protocol.DecodeSpec(p.Spec)
	if err != nil {
		return nil, err
	}
	var refused error
	s.view(func(v view) { refused = v.MaySubmit(q.Key, p.Project) })
	if refused != nil { // before anything large is read for a stranger
		return nil, refused
	}
	select { // files are read from end to end: a few at a time
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := s.checkProgram(ctx, "program", spec.Program, spec.Limits); err != nil {
		return nil, err
	}
	if spec.Reduce != nil {
		if err := s.checkProgram(ctx, "program of the reduction", spec.Reduce.Program, spec.Reduce.Limits); err != nil {
			return nil, err
		}
	}
	type listed struct{ blob, pieces task.Digest }
	checked := map[listed]bool{}
	for _, in := range spec.Inputs {
		if err := s.checkInput(ctx, in.Path, in.Blob, in.Size); err != nil {
			return nil, err
		}
		if checked[listed{in.Blob, in.Pieces}] {
			continue
		}
		if err := s.checkPieces(ctx, in); err != nil {
			return nil, err
		}
		checked[listed{in.Blob, in.Pieces}] = true
	}
	var pages []task.Digest
	if spec.Split.Kind == task.SplitLines {
		if pages, err = s.checkLines(ctx, spec); err != nil {
			return nil, err
		}
	}
	if err := s.keepNamed(ctx, spec, pages); err != nil {
		return nil, err
	}
	return &state.SubmitJob{Request: q, Project: p.Project, Spec: p.Spec}, nil
}

// keepNamed sees to it that what a job names is still there when its entry is
// applied: it may have been uploaded long ago, for another job.
func (s *Server) keepNamed(ctx context.Context, spec *task.JobSpec, pages []task.Digest) error {
	named := append([]task.Digest{spec.Program}, pages...)
	if spec.Reduce != nil {
		named = append(named, spec.Reduce.Program)
	}
	for _, in := range spec.Inputs {
		named = append(named, in.Blob)
		if !in.Pieces.IsZero() {
			named = append(named, in.Pieces)
		}
	}
	if l := &spec.Split.Lines; spec.Split.Kind == task.SplitLines {
		named = append(named, l.Blob, l.Index)
	}
	return s.keep(ctx, named...)
}

// keep makes a majority keep blobs until the entry that refers to them is in
// the log.
func (s *Server) keep(ctx context.Context, digests ...task.Digest) error {
	err := s.cfg.Public.Keep(ctx, digests...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrNotFound):
		return protocol.Refuse(protocol.CodeMissingBlob, "not all that the request names is here: %v; upload it and send the request again", err)
	case errors.Is(err, storage.ErrNoSpace):
		return protocol.Refuse(protocol.CodeNoSpace, "the coordinators have no room for what the request names (%v)", err)
	}
	return &protocol.Error{Code: protocol.CodeOverloaded, Text: fmt.Sprintf("what the request names could not be kept: %v", err), RetryMillis: 1000}
}

// checkProgram makes sure that a program starts within the memory it is given.
func (s *Server) checkProgram(ctx context.Context, what string, digest task.Digest, limits task.Limits) error {
	module, err := s.cfg.Public.ReadAll(ctx, digest, maxProgram)
	if err != nil {
		return blobRefusal(what, digest, err)
	}
	if _, err := wasm.Check(module, wasm.ProgramRules(uint32(limits.Memory/task.WasmPage))); err != nil {
		return protocol.Refuse(protocol.CodeInvalid, "%s %s: %v", what, digest.Short(), err)
	}
	return nil
}

func (s *Server) checkInput(ctx context.Context, path string, digest task.Digest, size int64) error {
	b, err := s.cfg.Public.Open(ctx, digest)
	if err != nil {
		return blobRefusal("input "+path, digest, err)
	}
	defer b.Close()
	if b.Size() != size {
		return protocol.Refuse(protocol.CodeInvalid, "input %s: the job says %d bytes, the blob has %d", path, size, b.Size())
	}
	return nil
}

// checkPieces reads an input once and compares it with the list of its pieces.
// A list of another file would make each of the job's tasks fail.
func (s *Server) checkPieces(ctx context.Context, in task.Input) error {
	if in.Pieces.IsZero() {
		return nil
	}
	list, err := s.cfg.Public.ReadAll(ctx, in.Pieces, maxIndexBytes)
	if err != nil {
		return blobRefusal("list of the pieces of input "+in.Path, in.Pieces, err)
	}
	file, err := s.cfg.Public.Open(ctx, in.Blob)
	if err != nil {
		return blobRefusal("input "+in.Path, in.Blob, err)
	}
	defer file.Close()
	if err := publisher.CheckPieces(ctx, list, io.NewSectionReader(file, 0, file.Size()), in.Size); err != nil {
		if e := protocol.AsError(err); e.Code != protocol.CodeInternal {
			return e
		}
		return protocol.Refuse(protocol.CodeInvalid, "input %s does not fit the list of its pieces: %v", in.Path, err)
	}
	return nil
}

// checkLines reads the file once and compares it with its index: ranges that
// overlap, or miss a line, would make results that nobody could explain. It
// returns the index's pages.
func (s *Server) checkLines(ctx context.Context, spec *task.JobSpec) ([]task.Digest, error) {
	l := &spec.Split.Lines
	if err := s.checkInput(ctx, l.Path, l.Blob, l.Size); err != nil {
		return nil, err
	}
	index, err := s.cfg.Public.ReadAll(ctx, l.Index, maxIndexBytes)
	if err != nil {
		return nil, blobRefusal("index", l.Index, err)
	}
	var pages []task.Digest
	page := func(k uint64) ([]byte, error) {
		digest, err := task.PageDigest(index, k)
		if err != nil {
			return nil, protocol.Refuse(protocol.CodeInvalid, "index %s: %v", l.Index.Short(), err)
		}
		pages = append(pages, digest)
		b, err := s.cfg.Public.ReadAll(ctx, digest, maxIndexBytes)
		if err != nil {
			return nil, blobRefusal("index page", digest, err)
		}
		return b, nil
	}
	file, err := s.cfg.Public.Open(ctx, l.Blob)
	if err != nil {
		return nil, blobRefusal("input "+l.Path, l.Blob, err)
	}
	defer file.Close()
	if err := publisher.CheckLineIndex(ctx, l, io.NewSectionReader(file, 0, file.Size()), page); err != nil {
		if e := protocol.AsError(err); e.Code != protocol.CodeInternal {
			return nil, e
		}
		return nil, protocol.Refuse(protocol.CodeInvalid, "input %s does not fit its index: %v", l.Path, err)
	}
	return pages, nil
}
