package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Members is what an operator can see and do of the coordinators, on the leader.
type Members interface {
	Members(ctx context.Context) (protocol.MembersView, error)

	// JoinToken makes a token that lets one more coordinator join, for some time.
	JoinToken(life time.Duration) (protocol.JoinTokenView, error)

	// CheckRemoval refuses the removal of a member that the cluster cannot do
	// without.
	CheckRemoval(ctx context.Context, node task.NodeID) error

	// Changed makes the leader look at once at a removal that was logged.
	Changed()

	// CheckTransfer refuses to hand the leadership to whom cannot have it.
	CheckTransfer(ctx context.Context, to task.NodeID) error

	// Transfer hands the leadership to a member, or to any. Where it fails this
	// node goes on leading.
	Transfer(to task.NodeID) error
}

// ofOperator serves what only the cluster's operator may read.
func (s *Server) ofOperator(path string, read func(*http.Request) (any, error)) {
	s.fresh("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		reader := s.reader(r)
		var operator task.Key
		s.view(func(v view) { operator = v.Cluster().Operator })
		if reader.IsZero() || reader != operator {
			s.fail(w, protocol.Refuse(protocol.CodeNotAllowed, "only the cluster's operator may read this; give the operator's key with --account, the file operator.key of the data folder of the node that made the cluster"))
			return
		}
		answer, err := read(r)
		if err != nil {
			s.fail(w, err)
			return
		}
		s.send(w, answer)
	})
}

func (s *Server) members() {
	s.ofOperator(protocol.PathMembers, func(r *http.Request) (any, error) { return s.cfg.Members.Members(r.Context()) })
	s.ofOperator(protocol.PathJoinToken+"{seconds}", func(r *http.Request) (any, error) {
		seconds, err := strconv.ParseInt(r.PathValue("seconds"), 10, 64)
		if life := time.Duration(seconds) * time.Second; err == nil && seconds <= int64(protocol.MaxTokenLife/time.Second) && life >= protocol.MinTokenLife {
			return s.cfg.Members.JoinToken(life)
		}
		return nil, protocol.Refuse(protocol.CodeInvalid, "a join token is good for %s to %s, told in seconds; got %q", protocol.MinTokenLife, protocol.MaxTokenLife, r.PathValue("seconds"))
	})
}

func (s *Server) prepareOperate(ctx context.Context, e *protocol.Envelope, q state.Request) (state.Command, error) {
	var p protocol.Operate
	if err := e.Decode(&p); err != nil {
		return nil, err
	}
	if !p.Action.Valid() {
		return nil, protocol.Refuse(protocol.CodeMalformed, "action %d is not known", p.Action)
	}
	if p.Node != "" || p.Action != protocol.ActionTransfer {
		if err := task.CheckHandle(string(p.Node)); err != nil {
			return nil, protocol.Refuse(protocol.CodeInvalid, "name of a coordinator: %v", err)
		}
	}
	var operator task.Key
	s.view(func(v view) { operator = v.Cluster().Operator })
	check := map[protocol.Action]func(context.Context, task.NodeID) error{
		protocol.ActionRemove: s.cfg.Members.CheckRemoval, protocol.ActionTransfer: s.cfg.Members.CheckTransfer,
	}[p.Action]
	if check != nil && q.Key == operator { // Apply refuses everybody else
		if err := check(ctx, p.Node); err != nil {
			return nil, err
		}
	}
	return &state.Operate{Request: q, Action: p.Action, Node: p.Node}, nil
}

// operated does what follows from an operator's wish once the log has it. The
// answer says only that it has: whether somebody else leads is seen by looking.
func (s *Server) operated(c state.Command) {
	op, ok := c.(*state.Operate)
	switch {
	case !ok:
	case op.Action == protocol.ActionTransfer:
		if err := s.cfg.Members.Transfer(op.Node); err != nil {
			s.cfg.Logger.Warn("the leadership stays where it is", "error", err)
		}
	default:
		s.cfg.Members.Changed()
	}
}
