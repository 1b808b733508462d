package blobs

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// pathPrefix begins the paths that only coordinators use among themselves.
const pathPrefix = "/internal/v1/"

// headerMembers counts the changes of the members that a sender knows of.
const headerMembers = "Sheaf-Members"

// frameBatch is the kind of frame of a batch of small blobs.
const frameBatch uint16 = 48

// maxBatch bounds a batch on its way, in bytes.
const maxBatch = 16 << 20

// blobOverhead is more than what a message says of each blob beside its bytes.
const blobOverhead = 64

type batch struct {
	Blobs []storage.Small `msgpack:"b,omitempty"`
}

// Handler serves the stores of a node to its peers, under /internal/v1/. Who
// calls was verified before. changes says how many changes of the members the
// node knows of: what a peer sends as of an earlier one is refused, since it may
// count the copy towards a majority of members that are not.
func (s *Store) Handler(changes func() uint64) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+pathPrefix+"{area}/{digest}", asOf(changes, s.servePut))
	mux.HandleFunc("GET "+pathPrefix+"{area}/{digest}", s.serveGet)
	mux.HandleFunc("POST "+pathPrefix+"{area}", asOf(changes, s.serveBatch))
	mux.HandleFunc("GET "+pathPrefix+"{area}", s.serveList)
	mux.HandleFunc("POST "+pathPrefix+"{area}/read", s.serveReadBatch)
	mux.HandleFunc("POST "+pathPrefix+"{area}/keep", asOf(changes, s.serveKeep))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.hear(r); err != nil {
			answer(w, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// asOf refuses what a peer sends that has not heard of the last change.
func asOf(changes func() uint64, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		theirs, err := strconv.ParseUint(r.Header.Get(headerMembers), 10, 64)
		if err != nil || theirs < changes() {
			http.Error(w, ErrMembersChanged.Error(), http.StatusConflict)
			return
		}
		serve(w, r)
	}
}

func (s *Store) area(w http.ResponseWriter, r *http.Request) (storage.Blobs, bool) {
	local, ok := s.local[Area(r.PathValue("area"))]
	if !ok {
		http.NotFound(w, r)
	}
	return local, ok
}

func (s *Store) servePut(w http.ResponseWriter, r *http.Request) {
	local, ok := s.area(w, r)
	if !ok {
		return
	}
	digest, err := task.ParseDigest(r.PathValue("digest"))
	if err != nil || r.ContentLength < 0 {
		http.Error(w, "want a digest and a length", http.StatusBadRequest)
		return
	}
	answer(w, local.Put(r.Context(), digest, r.ContentLength, r.Body))
}

func (s *Store) serveBatch(w http.ResponseWriter, r *http.Request) {
	local, ok := s.area(w, r)
	if !ok {
		return
	}
	body := borrow()
	if err := body.readFrom(r.Body, r.ContentLength, maxBatch+1); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	kind, payload, err := wire.Open(*body.bytes, maxBatch)
	var b batch
	if err == nil && kind == frameBatch {
		err = wire.UnmarshalLax(payload, &b, wire.Shared)
	}
	if err != nil || kind != frameBatch {
		http.Error(w, fmt.Sprintf("not a batch of blobs: %v", err), http.StatusBadRequest)
		return
	}
	err = local.PutBatch(r.Context(), b.Blobs)
	body.done(err)
	answer(w, err)
}

func (s *Store) serveGet(w http.ResponseWriter, r *http.Request) {
	local, ok := s.area(w, r)
	if !ok {
		return
	}
	digest, err := task.ParseDigest(r.PathValue("digest"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b, err := local.Open(r.Context(), digest)
	if err != nil {
		answer(w, err)
		return
	}
	defer b.Close()
	w.Header().Set("Content-Length", strconv.FormatInt(b.Size(), 10))
	w.Header().Set("Content-Type", "application/octet-stream")
	// An error in the middle closes the connection: the peer sees a short body.
	if _, err := io.Copy(w, io.NewSectionReader(b, 0, b.Size())); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func answer(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrCorrupt):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, storage.ErrNoSpace):
		http.Error(w, err.Error(), http.StatusInsufficientStorage)
	case errors.Is(err, storage.ErrMismatch), errors.Is(err, storage.ErrSource):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, storage.ErrTooLarge):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
