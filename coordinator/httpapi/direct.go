package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/partial"
	"github.com/sheafgrid/sheaf/task"
)

// Direct is a store that clients may read from and write to by themselves, by
// URLs that it signs. What they send is verified before it is a blob.
type Direct interface {
	DownloadURL(ctx context.Context, digest task.Digest) (string, error)
	UploadURL(ctx context.Context, id string) (string, error)
	Accept(ctx context.Context, id string, digest task.Digest, size int64) error
	MaxDirect() int64
}

// minDirect is the size from which on a second connection is worth while.
const minDirect = 1 << 20

// sendDirect tells a client that can where to read a public blob, and reports
// whether it did.
func (s *Server) sendDirect(w http.ResponseWriter, r *http.Request, b storage.Blob, digest task.Digest) bool {
	if s.cfg.DirectPublic == nil || r.Header.Get(protocol.HeaderDirect) != protocol.DirectWanted || b.Size() < minDirect {
		return false
	}
	url, err := s.cfg.DirectPublic.DownloadURL(r.Context(), digest)
	if err != nil {
		return false // it is sent from here
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", url)
	w.WriteHeader(http.StatusTemporaryRedirect)
	return true
}

// direct is where blobs of an area may be sent by clients themselves; nil: only
// here.
func (s *Server) direct(area string) Direct {
	if area == areaPublic {
		return s.cfg.DirectPublic
	}
	return s.cfg.DirectOutputs
}

// offerDirect tells a sender who can where else to send a blob that it has not
// begun to send here.
func (s *Server) offerDirect(w http.ResponseWriter, r *http.Request, o partial.Owner) {
	d := s.direct(o.Area)
	if d == nil || r.Header.Get(protocol.HeaderDirect) != protocol.DirectWanted || o.Size < minDirect || o.Size > d.MaxDirect() {
		return
	}
	if url, err := d.UploadURL(r.Context(), o.ID()); err == nil {
		w.Header().Set(protocol.HeaderUploadURL, url)
	}
}

// acceptDirect verifies what was sent elsewhere.
func (s *Server) acceptDirect(r *http.Request, o partial.Owner) error {
	d := s.direct(o.Area)
	if d == nil {
		return protocol.Refuse(protocol.CodeMalformed, "blob %s cannot be sent elsewhere than here", o.Digest.Short())
	}
	err := d.Accept(r.Context(), o.ID(), o.Digest, o.Size)
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrMismatch) {
		return protocol.Refuse(protocol.CodeMalformed, "blob %s did not arrive whole where it was sent: %v", o.Digest.Short(), err)
	}
	return uploadRefusal(o.Digest, err)
}
