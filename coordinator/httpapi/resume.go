package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/partial"
)

// resume takes a part of a large upload, from the byte that the sender names on,
// and stores the blob when it is whole. What arrives is kept if the connection
// breaks: the sender asks where to go on. status is that of the answer.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, to Store, o partial.Owner, most int64) (status int, err error) {
	if o.Size, err = strconv.ParseInt(r.Header.Get(protocol.HeaderSize), 10, 64); err != nil || o.Size < 0 {
		return 0, protocol.Refuse(protocol.CodeMalformed, "an upload in parts needs the header %s", protocol.HeaderSize)
	}
	if o.Size > most {
		return 0, protocol.Refuse(protocol.CodeTooLarge, "blob %s has %d bytes, at most %d are allowed", o.Digest.Short(), o.Size, most)
	}
	if r.Header.Get(protocol.HeaderOffset) == protocol.OffsetUnknown {
		n, err := s.cfg.Partial.Length(o)
		if n == 0 && err == nil {
			s.offerDirect(w, r, o)
		}
		return goOnAt(w, n), err
	}
	offset, err := strconv.ParseInt(r.Header.Get(protocol.HeaderOffset), 10, 64)
	if err != nil || offset < 0 || offset > o.Size {
		return 0, protocol.Refuse(protocol.CodeMalformed, "the header %s says %q; want a byte of the blob, or %s", protocol.HeaderOffset, r.Header.Get(protocol.HeaderOffset), protocol.OffsetUnknown)
	}
	if r.Header.Get(protocol.HeaderDirect) == protocol.DirectSent {
		return http.StatusNoContent, s.acceptDirect(r, o)
	}
	var refused *protocol.Error
	length, err := s.appendPart(w, r, o, offset)
	switch {
	case errors.Is(err, partial.ErrOffset), errors.Is(err, partial.ErrTakenOver):
		return 0, &protocol.Error{Code: protocol.CodeOverloaded, Text: fmt.Sprintf("%v; ask where to go on", err), RetryMillis: 100}
	case errors.As(err, &refused):
		return 0, refused
	case err != nil:
		return 0, uploadRefusal(o.Digest, err)
	case length < o.Size:
		return goOnAt(w, length), nil
	}
	err = s.cfg.Partial.Finish(o, func(all io.Reader) error { return to.Put(r.Context(), o.Digest, o.Size, all) })
	if errors.Is(err, storage.ErrMismatch) && offset > 0 {
		// The part at fault may be one of before, and a power cut's.
		return 0, protocol.Refuse(protocol.CodeMalformed, "blob %s did not arrive whole (%v); send it from the beginning", o.Digest.Short(), err)
	}
	return http.StatusNoContent, uploadRefusal(o.Digest, err)
}

// goOnAt tells a sender from which byte on the coordinator lacks the blob.
func goOnAt(w http.ResponseWriter, offset int64) (status int) {
	w.Header().Set(protocol.HeaderOffset, strconv.FormatInt(offset, 10))
	return http.StatusAccepted
}

func (s *Server) appendPart(w http.ResponseWriter, r *http.Request, o partial.Owner, offset int64) (length int64, err error) {
	if offset == o.Size { // all has arrived before, and is only to be stored
		return s.cfg.Partial.Length(o)
	}
	if s.cfg.Room != nil {
		release, err := s.cfg.Room(o.Size - offset)
		if err != nil {
			return 0, err
		}
		defer release()
	}
	_, body, done, err := s.uploadBody(w, r)
	if err != nil {
		return 0, err
	}
	defer done()
	return s.cfg.Partial.Append(r.Context(), o, offset, body)
}
