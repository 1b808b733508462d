package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/sheafgrid/sheaf/protocol"
)

// serveRequest answers a signed request with a Reply, whatever becomes of it.
func (s *Server) serveRequest(w http.ResponseWriter, r *http.Request) {
	body, release, err := s.readBody(w, r, protocol.MaxEnvelope)
	defer release()
	if err != nil {
		s.reply(w, nil, err)
		return
	}
	e, err := protocol.ReadEnvelope(body, s.cfg.Cluster)
	leave := func() {}
	if err == nil && e.Purpose == protocol.PurposeExchange && s.cfg.Node.Serving() {
		var full error
		if leave, full = s.shedder.enter(); full != nil {
			s.reply(w, nil, full)
			return
		}
		defer leave()
	}
	if err == nil && !s.verifier.verify(e.Signed()) {
		err = e.BadSignature()
	}
	if err != nil {
		s.reply(w, nil, err)
		return
	}
	if !s.cfg.Node.Serving() {
		leave()
		s.forwardRequest(w, r, e.Purpose, body)
		return
	}
	reply, err := s.carryOut(r.Context(), e)
	if !logged(reply, err) && s.cfg.Node.Verify(r.Context()) != nil {
		reply, err = nil, noLeader() // it rests on what this node knew when it led
	}
	leave()
	if e.Purpose == protocol.PurposeExchange {
		s.readAgain(body) // nobody has kept any of it
	}
	s.reply(w, reply, err)
}

// logged reports whether an answer rests on an entry of the log, or asks to
// come again. Any other was given from the state alone.
func logged(reply *protocol.Reply, err error) bool {
	if err != nil {
		return protocol.AsError(err).Temporary()
	}
	return reply.Done != nil || len(reply.Exchange.Acks)+len(reply.Exchange.Attempts) > 0
}

func (s *Server) carryOut(ctx context.Context, e *protocol.Envelope) (*protocol.Reply, error) {
	if e.Purpose == protocol.PurposeExchange {
		x, ok := s.replies.Get().(*protocol.ExchangeReply)
		if !ok {
			x = new(protocol.ExchangeReply)
		}
		if err := s.cfg.Exchange.Exchange(ctx, e, x); err != nil {
			return nil, err
		}
		return &protocol.Reply{Exchange: x}, nil
	}
	done, err := s.command(ctx, e)
	if err != nil {
		return nil, err
	}
	return &protocol.Reply{Done: done}, nil
}

// maxEncoded bounds the memory that is kept for the next reply's bytes.
const maxEncoded = 64 << 10

// reply sends a Reply, or the refusal in one. The reply is the server's again when
// it is encoded, before its reader takes his time.
func (s *Server) reply(w http.ResponseWriter, reply *protocol.Reply, err error) {
	if err != nil {
		reply = &protocol.Reply{Error: s.refusal(err)}
	}
	room, ok := s.encoded.Get().(*[]byte)
	if !ok {
		room = new([]byte)
	}
	body := reply.Append((*room)[:0])
	if reply.Exchange != nil {
		s.replies.Put(reply.Exchange)
	}
	w.Header().Set("Content-Type", protocol.ContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if reply.Error != nil {
		w.WriteHeader(reply.Error.Code.HTTPStatus())
	}
	_, _ = w.Write(body) // a caller that went away repeats its request
	if cap(body) <= maxEncoded {
		*room = body
		s.encoded.Put(room)
	}
}

// refusal is what a caller is told about an error. A fault of this node is
// logged, since its text may help nobody else.
func (s *Server) refusal(err error) *protocol.Error {
	e := protocol.AsError(err)
	s.cfg.Refused(e.Code)
	if e.Code == protocol.CodeInternal {
		s.cfg.Logger.Error("a request failed", "error", err)
	}
	return e
}
