package state

import (
	"github.com/sheafgrid/sheaf/internal/planted"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// SessionOpenWindow is how far the time in a session's first request may lie
// from cluster time: before it, because somebody was slow; after it, because a
// leader that told it died before it logged an entry. It is far shorter than
// any session is kept, so that a request whose session was forgotten can never
// open it again.
const SessionOpenWindow task.Millis = 60 * 60 * 1000

// SessionKept is how long a session is kept after its last request.
const SessionKept task.Millis = 30 * 24 * 60 * 60 * 1000

type sessionKey struct {
	key task.Key
	id  task.SessionID
}

// Precheck says what is known of a request before it is proposed: whether it
// was carried out already (then result is its answer), or is refused as it
// stands. now is cluster time by the leader's clock, which runs ahead of the
// last entry. The same is decided again in Apply; this only saves a log entry.
func (s *State) Precheck(q Request, now task.Millis) (result Result, known bool) {
	i, ok := s.index.sessions[sessionKey{q.Key, q.Session}]
	if !ok {
		if q.Opened > now+SessionOpenWindow || q.Opened < now-SessionOpenWindow {
			return refused(protocol.Refuse(protocol.CodeSession, "the session is not known (any more); ask for the cluster's time and open another one")), true
		}
		return Result{}, false
	}
	last := s.sessions.At(uint64(i))
	switch {
	case q.Number > last.Last, planted.Is(planted.SkipDuplicateCheck):
		return Result{}, false
	case q.Number < last.Last:
		return refused(protocol.Refuse(protocol.CodeAlreadyDone, "request %d was carried out already; the last one was %d", q.Number, last.Last)), true
	case q.Sum != last.Sum:
		return refused(protocol.Refuse(protocol.CodeReusedNumber, "request %d was another one; if two programs share a key or a data folder, give each its own", q.Number)), true
	}
	return Result{Answer: last.Answer, Repeated: true}, true
}

// numbered carries out a request once (R2): do runs only for a number above
// the session's last, and what it answers is kept for a repetition. Refusals
// by do are kept too.
func (s *State) numbered(q Request, do func() Answer) Result {
	if r, known := s.Precheck(q, s.cluster.Now); known {
		return r
	}
	answer := do()
	key := sessionKey{q.Key, q.Session}
	i, ok := s.index.sessions[key]
	if !ok && answer.Error != nil && !s.knows(q.Key) {
		return Result{Answer: answer} // a stranger who achieved nothing leaves nothing behind
	}
	if !ok {
		i = s.newSession()
		s.index.sessions[key] = i
	}
	r := s.sessions.Edit(uint64(i))
	*r = Session{
		Key: q.Key, ID: q.Session, Opened: q.Opened, Touched: s.cluster.Now,
		Last: q.Number, Sum: q.Sum, Answer: answer,
	}
	return Result{Answer: answer}
}

// knows reports whether a key is an account's or a host's.
func (s *State) knows(key task.Key) bool {
	_, account := s.index.accounts[key]
	_, host := s.index.hosts[key]
	return account || host
}

// newSession takes the lowest free place: the choice must not depend on the
// order in which places became free, which a restored replica does not know (R3).
func (s *State) newSession() uint32 {
	if i, ok := s.index.freeSessions.next(0); ok {
		s.index.freeSessions.set(i, false)
		return uint32(i)
	}
	return uint32(s.sessions.Append(Session{}))
}

// forgetSessions drops sessions that have not been used for long.
func (s *State) forgetSessions(c *ForgetSessions) {
	before := min(c.Before, s.cluster.Now-SessionKept)
	for i := uint64(1); i < s.sessions.Len(); i++ {
		r := s.sessions.At(i)
		if r.Closed || r.Touched >= before {
			continue
		}
		delete(s.index.sessions, sessionKey{r.Key, r.ID})
		*s.sessions.Edit(i) = Session{Closed: true}
		s.index.freeSessions.set(i, true)
	}
}
