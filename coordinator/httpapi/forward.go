package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/internal/planted"
	"github.com/sheafgrid/sheaf/protocol"
)

// headerForwarded marks a request that a coordinator has passed on. It is
// passed on once: two nodes that disagree about the leader must not play ball.
const headerForwarded = "Sheaf-Forwarded"

// headerStale marks an answer that may lack what happened a moment ago.
const headerStale = "Sheaf-Stale"

// fresh serves a reading from the leader, since a publisher wants to see what it
// has just done: it shows everything that anybody was told before it was asked
// for. A node that was leader until a moment ago must not answer for the new
// one, so it makes sure. Without a leader a reading is refused for the moment,
// unless its reader asks for whatever this node has, with ?stale=1.
func (s *Server) fresh(pattern string, serve http.HandlerFunc) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("stale") == "1" {
			s.stale(w)
			serve(w, r)
			return
		}
		if planted.Is(planted.StaleRead) || s.cfg.Node.Serving() && s.cfg.Node.Verify(r.Context()) == nil {
			serve(w, r)
			return
		}
		if !s.passOn(w, r, nil) {
			s.fail(w, noLeader())
		}
	})
}

// maxPassing is how many requests are on their way to the leader at once: no more
// than the connections that are kept for them. One that is made for a single
// request takes a millisecond of both nodes' CPU, and many hosts that come at once
// to a node that does not lead took all of it.
const maxPassing = 64

// forwardRequest passes a verified request on to the leader, or sends it away when
// it has waited too long for its turn.
func (s *Server) forwardRequest(w http.ResponseWriter, r *http.Request, body []byte) {
	patience := time.NewTimer(s.cfg.Patience)
	defer patience.Stop()
	select {
	case s.passing <- struct{}{}:
		defer func() { <-s.passing }()
	case <-patience.C:
		s.reply(w, nil, &protocol.Error{
			Code: protocol.CodeOverloaded, Text: "too many requests wait here for the leader; send it to another coordinator, or again later", RetryMillis: 1000,
		})
		return
	case <-r.Context().Done():
		return
	}
	if !s.passOn(w, r, body) {
		s.reply(w, nil, noLeader())
	}
}

func noLeader() error {
	return &protocol.Error{Code: protocol.CodeNoLeader, Text: "the cluster is choosing a leader; send the same request again", RetryMillis: 300}
}

// passOn sends a request to the leader and its answer back. It reports false
// when nothing was answered yet: there is no leader, or it cannot be reached.
func (s *Server) passOn(w http.ResponseWriter, r *http.Request, body []byte) bool {
	if r.Header.Get(headerForwarded) != "" {
		return false
	}
	url := s.leaderURL()
	if url == "" {
		return false
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, url+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return false
	}
	for _, h := range []string{"Content-Type", protocol.HeaderKey, protocol.HeaderSignature, protocol.HeaderTime, "Range", "If-Range", "If-None-Match"} {
		if v := r.Header.Get(h); v != "" {
			req.Header.Set(h, v)
		}
	}
	req.Header.Set(headerForwarded, string(s.cfg.Name))
	res, err := s.cfg.Forward.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	for _, h := range []string{
		"Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "Content-Disposition", "ETag", "Cache-Control",
		"Access-Control-Allow-Origin",
	} {
		if v := res.Header.Get(h); v != "" {
			w.Header().Set(h, v)
		}
	}
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(w, res.Body); err != nil {
		panic(http.ErrAbortHandler) // the caller must not take a part for the whole
	}
	return true
}

// leaderURL is where the leader is reached, unless it is this node or unknown.
func (s *Server) leaderURL() string {
	leader := s.cfg.Node.Leader()
	if leader == "" || leader == s.cfg.Name {
		return ""
	}
	return peers.URL(leader, "")
}
