package remote

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Session is a publisher's run of numbered requests. It lives as long as the
// program: nothing of it is kept.
type Session struct {
	remote *Remote
	key    ed25519.PrivateKey

	mu     sync.Mutex // one request at a time, or numbers could overtake each other
	id     task.SessionID
	opened task.Millis
	number uint64
}

// NewSession makes a session of a key. It is opened by its first call.
func (r *Remote) NewSession(key ed25519.PrivateKey) *Session {
	return &Session{remote: r, key: key}
}

// DrawSession draws the id of a new session.
func DrawSession() (task.SessionID, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("drawing a session: %w", err)
	}
	return task.SessionID(binary.BigEndian.Uint64(b[:])), nil
}

// Call sends a request with a payload, one of package protocol's, and returns
// its answer. It is carried out at most once, however often it had to be sent.
// Where ctx ends first, whether it was is not known, and the error says so.
func (s *Session) Call(ctx context.Context, purpose protocol.Purpose, payload any) (*protocol.Done, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done, err := s.call(ctx, purpose, payload)
	if protocol.HasCode(err, protocol.CodeSession) {
		// The program has slept since the last call. Nothing was carried out.
		s.number = 0
		done, err = s.call(ctx, purpose, payload)
	}
	return done, err
}

func (s *Session) call(ctx context.Context, purpose protocol.Purpose, payload any) (*protocol.Done, error) {
	if s.number == 0 {
		view, err := s.remote.waitForCluster(ctx)
		if err != nil {
			return nil, err
		}
		if s.id, err = DrawSession(); err != nil {
			return nil, err
		}
		s.opened = view.Time
	}
	s.number++
	e := &protocol.Envelope{
		Version: protocol.Version, Cluster: s.remote.ClusterID(), Session: s.id, Opened: s.opened,
		Number: s.number, Purpose: purpose, Payload: wire.Marshal(payload),
	}
	e.Sign(s.key)
	reply, err := s.remote.Request(ctx, e)
	var refusal *protocol.Error
	switch {
	case errors.As(err, &refusal):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("whether the request was carried out is not known: %w", err)
	case reply.Done == nil:
		return nil, fmt.Errorf("%w: an exchange where a confirmation belongs", ErrMalformed)
	}
	return reply.Done, nil
}
