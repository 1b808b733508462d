package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
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
		if !s.passOn(w, r) {
			s.fail(w, noLeader())
		}
	})
}

// maxPassing is how many exchanges are on their way to the leader at once, and how
// many other requests: no more than the connections that are kept for them. One
// that is made for a single request takes a millisecond of both nodes' CPU, and many
// hosts that come at once to a node that does not lead took all of it.
const maxPassing = 32

// forwardRequest passes a verified request on to the leader, or sends it away when
// it has waited too long for its turn.
func (s *Server) forwardRequest(w http.ResponseWriter, r *http.Request, purpose protocol.Purpose, body []byte) {
	leader := s.leaderURL()
	if leader == "" || r.Header.Get(headerForwarded) != "" {
		s.reply(w, nil, noLeader())
		return
	}
	turn := s.passing[purpose == protocol.PurposeExchange]
	patience := time.NewTimer(s.cfg.Patience)
	defer patience.Stop()
	select {
	case turn <- struct{}{}:
	case <-patience.C:
		s.reply(w, nil, &protocol.Error{
			Code: protocol.CodeOverloaded, Text: "too many requests wait here for the leader; send it to another coordinator, or again later", RetryMillis: 1000,
		})
		return
	case <-r.Context().Done():
		return
	}
	answer, status, err := s.askLeader(r, leader, body)
	<-turn // before it is written: its reader may be slow
	if err != nil {
		s.reply(w, nil, noLeader())
		return
	}
	w.Header().Set("Content-Type", protocol.ContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(status)
	_, _ = w.Write(answer) // who went away asks again
}

// leaderCheck is how often a request that waits for the leader's answer looks
// whether it still leads: one that was stopped, or cut off, never answers.
const leaderCheck = 250 * time.Millisecond

// askLeader sends a request to the leader and returns its answer, or an error when
// it leads no more.
func (s *Server) askLeader(r *http.Request, leader string, body []byte) (answer []byte, status int, err error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() { // ends with this call
		tick := time.NewTicker(leaderCheck)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if s.leaderURL() != leader {
					cancel()
				}
			}
		}
	}()
	req, err := s.forwarded(ctx, r, leader, body)
	if err != nil {
		return nil, 0, err
	}
	res, err := s.cfg.Forward.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, protocol.MaxReply+1))
	if err == nil && (len(answer) > protocol.MaxReply || res.Header.Get("Content-Type") != protocol.ContentType) {
		err = fmt.Errorf("the leader answered with %s and %d bytes that are no reply", res.Status, len(answer))
	}
	return answer, res.StatusCode, err
}

func noLeader() error {
	return &protocol.Error{Code: protocol.CodeNoLeader, Text: "the cluster is choosing a leader; send the same request again", RetryMillis: 300}
}

// forwarded is a request as the leader is to get it.
func (s *Server) forwarded(ctx context.Context, r *http.Request, leader string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, leader+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, h := range []string{"Content-Type", protocol.HeaderKey, protocol.HeaderSignature, protocol.HeaderTime, "Range", "If-Range", "If-None-Match"} {
		if v := r.Header.Get(h); v != "" {
			req.Header.Set(h, v)
		}
	}
	req.Header.Set(headerForwarded, string(s.cfg.Name))
	return req, nil
}

// passOn sends a reading to the leader and its answer back. It reports false
// when nothing was answered yet: there is no leader, or it cannot be reached.
func (s *Server) passOn(w http.ResponseWriter, r *http.Request) bool {
	url := s.leaderURL()
	if url == "" || r.Header.Get(headerForwarded) != "" {
		return false
	}
	req, err := s.forwarded(r.Context(), r, url, nil)
	if err != nil {
		return false
	}
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
