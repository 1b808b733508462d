package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

type operatorMembersCommand struct {
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*operatorMembersCommand) Help() string {
	return `Example:

    sheaf operator members --account n1/operator.key --server http://127.0.0.1:7711

Each coordinator is asked by the leader how it stands: whether it has a vote, how long ago it heard of the leader, the last log entry that it has applied, the bytes of its log, whether its state is equal to the others', and how much room its disk has. What a coordinator that joins or leaves waits for is said below the table.`
}

// Run shows the members.
func (c *operatorMembersCommand) Run(a *app) error {
	s, err := c.operator(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	v, err := s.membersAnyway(a.ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.print(v)
		return nil
	}
	a.showMembers(&v)
	return nil
}

// operator finds the cluster, and reads as its operator. A key is never made
// here: a new one would be nobody's.
func (f *serverFlags) operator(a *app) (*session, error) {
	s, err := f.reader(a)
	if err != nil {
		return nil, err
	}
	if s.key == nil {
		s.remote.Close()
		return nil, fmt.Errorf("there is no key in %s; give the operator's with --account, the file operator.key of the data folder of the node that made the cluster", f.Account)
	}
	s.numbers = s.remote.NewSession(s.key)
	return s, nil
}

// members reads how the coordinators stand.
func (s *session) members(ctx context.Context) (v protocol.MembersView, err error) {
	err = s.remote.GetJSON(ctx, protocol.PathMembers, &v, s.key)
	return v, err
}

// leaderless is how long a command waits for a leader before it asks any
// coordinator what it knows.
const leaderless = 8 * time.Second

// membersAnyway is members, or, while nobody leads, how they stand as seen by
// any coordinator that answers.
func (s *session) membersAnyway(ctx context.Context) (v protocol.MembersView, err error) {
	short, cancel := context.WithTimeout(ctx, leaderless)
	defer cancel()
	if v, err = s.members(short); err == nil || ctx.Err() != nil {
		return v, err
	}
	again, cancel := context.WithTimeout(ctx, leaderless)
	defer cancel()
	if s.remote.GetJSON(again, protocol.PathMembers+"?stale=1", &v, s.key) != nil {
		return v, err
	}
	return v, nil
}

func (a *app) showMembers(v *protocol.MembersView) {
	var rows [][]string
	for _, m := range v.Members {
		role := m.Role
		if m.Leader {
			role = "leader"
		}
		row := []string{string(m.Node), role, m.URL, m.Raft, "no answer", "", "", "", ""}
		if m.Reached {
			row = []string{
				string(m.Node), role, m.URL, m.Raft, contactText(m.LastContact), fmt.Sprint(m.Applied), bytesText(m.LogBytes), m.Digest, freeText(m.DiskFree),
			}
		}
		rows = append(rows, row)
	}
	a.table([]string{"NAME", "ROLE", "URL", "RAFT", "LEADER HEARD", "APPLIED", "LOG", "STATE", "DISK FREE"}, rows)
	for _, m := range v.Members {
		switch {
		case m.Role == protocol.RoleJoining:
			a.say("%s has copied %s (%s) and has no vote yet%s.", m.Node, plural(m.Copied, "blob"), bytesText(m.CopiedBytes), because(m.Waits))
		case m.Role == protocol.RoleLeaving:
			a.say("%s is to be removed, and keeps its vote until then%s.", m.Node, because(m.Waits))
		}
	}
}

func because(waits string) string {
	if waits == "" {
		return ""
	}
	return ": " + waits
}

func contactText(ms int64) string {
	if ms < 0 {
		return "never"
	}
	return durationText(time.Duration(ms)*time.Millisecond) + " ago"
}

func freeText(bytes int64) string {
	if bytes < 0 {
		return "unknown"
	}
	return bytesText(bytes)
}

type operatorHealthCommand struct {
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*operatorHealthCommand) Help() string {
	return `Example:

    sheaf operator health --account n1/operator.key --server http://127.0.0.1:7711 && echo well

Exit code 0 when nothing is wrong with the coordinators; 1, with a line for each reason, when something is: one does not answer, is far behind, has little room on its disk, or has another state than the others; or there are too few of them, or an even number.`
}

// Run says what is wrong.
func (c *operatorHealthCommand) Run(a *app) error {
	s, err := c.operator(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	v, err := s.membersAnyway(a.ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.print(map[string]any{"ok": v.OK, "leader": v.Leader, "members": len(v.Members), "reasons": append([]string{}, v.Reasons...)})
	} else if v.OK {
		a.say("%s, led by %s: all is well.", plural(len(v.Members), "coordinator"), v.Leader)
	}
	for _, r := range v.Reasons {
		a.say("%s.", r)
	}
	if !v.OK {
		return failure{code: exitFailed} // it was told already
	}
	return nil
}

type operatorTransferCommand struct {
	Name        string `arg:"" optional:"" help:"Who is to lead; without a name, whoever has most of the log."`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*operatorTransferCommand) Help() string {
	return `Example: before the machine of the leader n1 is switched off for a while,

    sheaf operator transfer n2 --account n1/operator.key --server http://127.0.0.1:7711

For a moment nobody leads; clients repeat what they asked meanwhile. Naming the coordinator that leads already changes nothing.`
}

// Run hands the leadership on.
func (c *operatorTransferCommand) Run(a *app) error {
	s, err := c.operator(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	before, err := s.members(a.ctx)
	if err != nil {
		return err
	}
	if _, err := s.call(a.ctx, protocol.PurposeOperate, protocol.Operate{Action: protocol.ActionTransfer, Node: task.NodeID(c.Name)}); err != nil {
		return err
	}
	after, err := s.awaitMembers(a, min(c.Timeout, transferLimit), func(v *protocol.MembersView) bool {
		if c.Name == "" {
			return v.Leader != before.Leader
		}
		return v.Leader == task.NodeID(c.Name)
	})
	if err != nil {
		return fmt.Errorf("%w; %s leads, and its log says why", err, after.Leader)
	}
	if a.json {
		a.print(map[string]any{"leader": after.Leader, "before": before.Leader})
	} else {
		a.say("%s leads now.", after.Leader)
	}
	return nil
}

// transferLimit is within which another coordinator leads, if it can.
const transferLimit = 20 * time.Second

// awaitMembers reads the members until something holds of them, for as long as
// is given. It returns what it read last.
func (s *session) awaitMembers(a *app, limit time.Duration, holds func(*protocol.MembersView) bool) (v protocol.MembersView, err error) {
	ctx, cancel := context.WithTimeout(a.ctx, limit)
	defer cancel()
	for {
		next, err := s.members(ctx)
		switch {
		case err == nil:
			if v = next; holds(&v) {
				return v, nil
			}
		case ctx.Err() == nil:
			return v, err
		}
		select {
		case <-ctx.Done():
			if a.ctx.Err() != nil {
				return v, a.ctx.Err()
			}
			return v, fmt.Errorf("not done within %s", durationText(limit))
		case <-time.After(300 * time.Millisecond):
		}
	}
}
