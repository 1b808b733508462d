package httpapi

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// batchBytes is from how many bytes on a batch of blobs takes no more.
const batchBytes = 8 << 20

// operatorOnly refuses whoever has not signed the reading with the operator's
// key.
func (s *Server) operatorOnly(r *http.Request) error {
	key := s.reader(r)
	var operator task.Key
	s.view(func(v view) { operator = v.Cluster().Operator })
	switch {
	case !key.IsZero() && key == operator:
		return nil
	case !s.cfg.Node.Serving():
		// The leader knows the cluster's time, and its operator, for sure.
		return &protocol.Error{Code: protocol.CodeOverloaded, Text: "this coordinator does not know the operator's key, or the time, as yet; ask another one", RetryMillis: 300}
	case key.IsZero():
		return protocol.Refuse(protocol.CodeBadSignature, "this is for the cluster's operator: sign the reading with their key (--account operator.key), at the cluster's time")
	default:
		return protocol.Refuse(protocol.CodeNotAllowed, "account %s is not the cluster's operator, whose key is in operator.key of the data folder of the node that made the cluster", key)
	}
}

// serveSnapshot sends the whole state as it is now. It holds the cluster's
// secret, and what is not released: it is for backups.
func (s *Server) serveSnapshot(w http.ResponseWriter, r *http.Request) {
	if err := s.operatorOnly(r); err != nil {
		s.fail(w, err)
		return
	}
	select {
	case s.backups <- struct{}{}:
		defer func() { <-s.backups }()
	default:
		s.fail(w, &protocol.Error{Code: protocol.CodeOverloaded, Text: "other backups are reading the state; try again when they have", RetryMillis: 5000})
		return
	}
	index, frozen := s.cfg.Node.Freeze()
	defer frozen.Release()
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &movingAnswer{w: w, c: http.NewResponseController(w)}
	_, err := out.Write(binary.BigEndian.AppendUint64(nil, index))
	if err == nil {
		_, err = frozen.Write(out)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the reader must not take a part for the whole
	}
}

// movingAnswer is an answer that may take its time, but not stand still.
type movingAnswer struct {
	w io.Writer
	c *http.ResponseController
}

// Write sends bytes.
func (a *movingAnswer) Write(p []byte) (int, error) {
	_ = a.c.SetWriteDeadline(time.Now().Add(stallTimeout)) // see readBody
	return a.w.Write(p)
}

// operatorArea is the store that a path names.
func (s *Server) operatorArea(r *http.Request) (Store, error) {
	if err := s.operatorOnly(r); err != nil {
		return nil, err
	}
	switch r.PathValue("area") {
	case "blobs":
		return s.cfg.Public, nil
	case "outputs":
		return s.cfg.Outputs, nil
	}
	return nil, protocol.Refuse(protocol.CodeNotFound, "there are no blobs called %q; there are blobs and outputs", r.PathValue("area"))
}

func (s *Server) serveOperatorBlob(w http.ResponseWriter, r *http.Request) {
	store, err := s.operatorArea(r)
	var digest task.Digest
	if err == nil {
		if digest, err = task.ParseDigest(r.PathValue("digest")); err != nil {
			err = protocol.Refuse(protocol.CodeMalformed, "%v", err)
		}
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	b, err := store.Open(r.Context(), digest)
	if err != nil {
		s.fail(w, readRefusal("blob", digest, err))
		return
	}
	defer b.Close()
	s.sendBlob(w, r, b, digest)
}

// serveOperatorBatch sends many small blobs at once: as many as fit, and none of
// those that are not here, nor with a peer. Who misses one asks for it alone.
func (s *Server) serveOperatorBatch(w http.ResponseWriter, r *http.Request) {
	store, err := s.operatorArea(r)
	var list []byte
	var asked []protocol.Asked
	if err == nil {
		var release func()
		list, release, err = s.readBody(w, r, int64(protocol.MaxAsk))
		defer release()
	}
	if err == nil && task.Sum(list).String() != r.PathValue("sum") {
		err = protocol.Refuse(protocol.CodeMalformed, "the list of blobs is not the one that the path names")
	}
	if err == nil {
		if asked, err = protocol.DecodeAsked(list); err != nil {
			err = protocol.Refuse(protocol.CodeMalformed, "%v", err)
		}
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &movingAnswer{w: w, c: http.NewResponseController(w)}
	left := batchBytes
	for i := 0; i < len(asked) && left > 0; i++ {
		b, err := s.readAsked(r.Context(), store, asked[i])
		if err != nil {
			if !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, storage.ErrTooLarge) && r.Context().Err() == nil {
				s.cfg.Logger.Warn("a blob for a backup cannot be read", "blob", asked[i].Blob, "error", err)
			}
			continue
		}
		if err := protocol.WriteBatchBlob(out, i, b); err != nil {
			panic(http.ErrAbortHandler)
		}
		left -= len(b) + 8
	}
	if err := protocol.EndBatch(out); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) readAsked(ctx context.Context, store Store, a protocol.Asked) ([]byte, error) {
	if a.Stage != 0 {
		return s.cfg.Archive.ReadOutput(ctx, a.Stage, a.Index, a.Blob, storage.MaxSmallSize)
	}
	return store.ReadAll(ctx, a.Blob, storage.MaxSmallSize)
}
