package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/partial"
	"github.com/sheafgrid/sheaf/task"
)

// serveBlob sends a public blob, or a range of it.
func (s *Server) serveBlob(w http.ResponseWriter, r *http.Request) {
	digest, err := task.ParseDigest(r.PathValue("digest"))
	if err != nil {
		s.fail(w, protocol.Refuse(protocol.CodeMalformed, "%v", err))
		return
	}
	b, err := s.cfg.Public.Open(r.Context(), digest)
	if err != nil {
		s.fail(w, readRefusal("blob", digest, err))
		return
	}
	defer b.Close()
	if s.sendDirect(w, r, b, digest) {
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	s.sendBlob(w, r, b, digest)
}

// readRefusal tells a reader about a blob that could not be read.
func readRefusal(what string, digest task.Digest, err error) error {
	if errors.Is(err, storage.ErrNoSpace) {
		return protocol.Refuse(protocol.CodeNoSpace, "%s %s is at another coordinator, and this one has no room to fetch it; ask another one", what, digest)
	}
	if errors.Is(err, storage.ErrUnavailable) {
		return outOfReach(what, digest, err)
	}
	if errors.Is(err, storage.ErrNotFound) {
		return protocol.Refuse(protocol.CodeNotFound, "there is no %s %s here", what, digest)
	}
	return fmt.Errorf("%s %s: %w", what, digest, err)
}

// outOfReach asks to come back later: the server that the blobs are on does not
// answer.
func outOfReach(what string, digest task.Digest, err error) error {
	return &protocol.Error{Code: protocol.CodeOverloaded, Text: fmt.Sprintf("%s %s cannot be reached at the moment: %v", what, digest.Short(), err), RetryMillis: 2000}
}

// sendBlob sends bytes that somebody else wrote: never to be shown by a
// browser, whatever they are.
func (s *Server) sendBlob(w http.ResponseWriter, r *http.Request, b storage.Blob, digest task.Digest) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", "attachment")
	w.Header().Set("ETag", `"`+digest.String()+`"`)
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(b, 0, b.Size()))
}

// servePutBlob takes a blob of a publisher's.
func (s *Server) servePutBlob(w http.ResponseWriter, r *http.Request) {
	s.put(w, r, areaPublic, s.cfg.Public, func(v view, key task.Key) (most int64, err error) {
		if !v.MayPublish(key) && !s.cfg.Node.Serving() {
			// The leader may know better than this node, which may have just come up.
			return 0, &protocol.Error{Code: protocol.CodeOverloaded, Text: fmt.Sprintf("account %s is not known here yet as one that may publish", key), RetryMillis: 300}
		}
		if !v.MayPublish(key) {
			return 0, protocol.Refuse(protocol.CodeNotAllowed, "account %s may not publish in this cluster; ask its operator", key)
		}
		return task.MaxInputSize, nil
	})
}

// servePutOutput takes an output of an attempt that may still be reported, late
// ones included.
func (s *Server) servePutOutput(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("attempt"), 10, 64)
	if err != nil {
		s.fail(w, protocol.Refuse(protocol.CodeMalformed, "want the id of an attempt, got %q", r.PathValue("attempt")))
		return
	}
	s.put(w, r, areaOutputs, s.cfg.Outputs, func(v view, key task.Key) (most int64, err error) {
		host, _, known := v.HostByKey(key)
		a, ok := v.Attempt(task.AttemptID(id))
		switch {
		case ok && known && a.Host == host && (a.State == state.AttemptOpen || a.State == state.AttemptExpired):
			return v.maxOutput(a), nil
		case !s.cfg.Node.Serving():
			// The leader, which gave it, may be ahead of this node.
			return 0, &protocol.Error{Code: protocol.CodeOverloaded, Text: fmt.Sprintf("attempt %d is not known here yet", id), RetryMillis: 300}
		case !known:
			return 0, protocol.Refuse(protocol.CodeUnknownKey, "host %s is not enrolled in this cluster", key)
		}
		return 0, protocol.Refuse(protocol.CodeNotAllowed, "attempt %d is not one that host %s could upload outputs of", id, key)
	})
}

// maxOutput is the most bytes that an output of an attempt may have.
func (v view) maxOutput(a *state.Attempt) int64 {
	st := v.Stage(a.Stage)
	_, spec := v.Job(st.Job)
	if st.Level > 0 {
		return int64(spec.Reduce.Limits.Output)
	}
	return int64(spec.Limits.Output)
}

// Areas of blobs, for uploads in parts.
const (
	areaPublic  = "blobs"
	areaOutputs = "outputs"
)

// mayUpload says how many bytes a key may upload, or why none.
type mayUpload func(v view, key task.Key) (most int64, err error)

// put stores an upload. It takes the whole body and answers alike whether the
// blob was there or not (T3).
func (s *Server) put(w http.ResponseWriter, r *http.Request, area string, to Store, allowed mayUpload) {
	status, err := s.storeUpload(w, r, area, to, allowed)
	if err != nil {
		s.fail(w, err)
		return
	}
	w.WriteHeader(status)
}

func (s *Server) storeUpload(w http.ResponseWriter, r *http.Request, area string, to Store, allowed mayUpload) (status int, err error) {
	digest, err := task.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return 0, protocol.Refuse(protocol.CodeMalformed, "%v", err)
	}
	key, err := task.ParseKey(r.Header.Get(protocol.HeaderKey))
	if err != nil {
		return 0, protocol.Refuse(protocol.CodeBadSignature, "an upload needs the header %s: %v", protocol.HeaderKey, err)
	}
	if !protocol.VerifyUpload(key, s.cfg.Cluster, digest, protocol.DecodeSignature(r.Header.Get(protocol.HeaderSignature))) {
		return 0, protocol.Refuse(protocol.CodeBadSignature, "the upload is not signed by key %s", key)
	}
	var most int64
	s.view(func(v view) { most, err = allowed(v, key) })
	if err != nil {
		return 0, err
	}
	switch offset := r.Header.Get(protocol.HeaderOffset); {
	case offset == protocol.OffsetUnknown && s.cfg.Partial == nil:
		return goOnAt(w, 0), nil
	case offset != "" && s.cfg.Partial != nil:
		return s.resume(w, r, to, partial.Owner{Area: area, Key: key, Digest: digest}, most)
	}
	size, body, done, err := s.uploadBody(w, r)
	if err != nil {
		return 0, err
	}
	defer done()
	if size > most {
		return 0, protocol.Refuse(protocol.CodeTooLarge, "blob %s has %d bytes, at most %d are allowed", digest.Short(), size, most)
	}
	if size <= smallUpload { // a wrong one is not to reach a disk, on which others wait
		b, err := readSmall(r.Context(), digest, size, body)
		if err != nil {
			return 0, uploadRefusal(digest, err)
		}
		body = bytes.NewReader(b)
	}
	return http.StatusNoContent, uploadRefusal(digest, to.Put(r.Context(), digest, size, body))
}

// smallUpload is up to which size an upload is verified before it is stored.
const smallUpload = 16 << 10

// readSmall reads a small upload and verifies it.
func readSmall(ctx context.Context, digest task.Digest, size int64, r io.Reader) ([]byte, error) {
	body := storage.NewBody(digest, size, r)
	b, err := body.Next(ctx, make([]byte, max(1, size)))
	if err == nil {
		_, err = body.Next(ctx, make([]byte, 1))
	}
	if err != io.EOF { // never wrapped
		return nil, err
	}
	return b, nil
}

// uploadBody is the plain bytes of an upload and how many there are said to be.
// A store reads no more than that, so that a small body cannot grow without
// end.
func (s *Server) uploadBody(w http.ResponseWriter, r *http.Request) (size int64, body io.Reader, done func(), err error) {
	moving := newMovingBody(w, r.Body)
	switch r.Header.Get("Content-Encoding") {
	case "":
		if r.ContentLength < 0 {
			return 0, nil, nil, protocol.Refuse(protocol.CodeMalformed, "an upload needs a Content-Length")
		}
		return r.ContentLength, moving, func() {}, nil
	case "zstd":
		size, err := strconv.ParseInt(r.Header.Get(protocol.HeaderSize), 10, 64)
		if err != nil || size < 0 {
			return 0, nil, nil, protocol.Refuse(protocol.CodeMalformed, "a compressed upload needs the header %s", protocol.HeaderSize)
		}
		plain, done, err := s.decoders.decode(moving)
		return size, plain, done, err
	}
	return 0, nil, nil, protocol.Refuse(protocol.CodeMalformed, "an upload may be compressed with zstd, not with %q", r.Header.Get("Content-Encoding"))
}

func uploadRefusal(digest task.Digest, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrMismatch):
		return protocol.Refuse(protocol.CodeInvalid, "blob %s: %v", digest.Short(), err)
	case errors.Is(err, storage.ErrSource):
		return protocol.Refuse(protocol.CodeMalformed, "blob %s did not arrive whole: %v", digest.Short(), err)
	case errors.Is(err, storage.ErrTooLarge):
		return protocol.Refuse(protocol.CodeTooLarge, "blob %s: %v", digest.Short(), err)
	case errors.Is(err, storage.ErrNoSpace):
		return protocol.Refuse(protocol.CodeNoSpace, "blob %s: %v", digest.Short(), err)
	}
	return &protocol.Error{Code: protocol.CodeOverloaded, Text: fmt.Sprintf("blob %s could not be stored: %v", digest.Short(), err), RetryMillis: 1000}
}
