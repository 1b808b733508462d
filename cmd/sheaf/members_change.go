package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// find is a member of a view by name.
func find(v *protocol.MembersView, name string) *protocol.MemberView {
	for i := range v.Members {
		if v.Members[i].Node == task.NodeID(name) {
			return &v.Members[i]
		}
	}
	return nil
}

type operatorAddCommand struct {
	Name        string        `arg:"" help:"A coordinator that has joined and has no vote yet, or that is to be removed and shall stay after all."`
	Wait        time.Duration `help:"How long to wait until it has its vote." default:"10m"`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*operatorAddCommand) Help() string {
	return `Example:

    sheaf operator add n4 --account n1/operator.key --server http://127.0.0.1:7711

It is started with the command that sheaf operator token prints. A coordinator that joins first follows the log without a vote, and copies the blobs that the others have; it gets its vote by itself when every blob is on a majority. This waits for that, and says how far it is. Named again, it changes nothing.`
}

// Run waits for a coordinator that joins.
func (c *operatorAddCommand) Run(a *app) error {
	s, err := c.operator(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	if err := c.await(a, s); err != nil {
		return err
	}
	if a.json {
		a.print(map[string]any{"node": c.Name, "role": protocol.RoleVoter})
	} else {
		a.say("%s has its vote.", c.Name)
	}
	return nil
}

// await waits until the named coordinator has its vote, and takes its removal
// back if there is one under way.
func (c *operatorAddCommand) await(a *app, s *session) error {
	began, told, met := time.Now(), "", false
	asked := false
	v, err := s.awaitMembers(a, c.Wait, func(v *protocol.MembersView) bool {
		m := find(v, c.Name)
		switch {
		case m == nil:
			if !asked && time.Since(began) > slowAnswer {
				asked = true
				fmt.Fprintf(a.stderr, "sheaf: no coordinator is called %s; waiting for it to join (sheaf operator token prints the command to start it with)\n", c.Name)
			}
			return met
		case m.Role == protocol.RoleLeaving && !met:
			met = true
			return true
		}
		met = true
		if m.Waits != told {
			told = m.Waits
			a.say("%s has copied %s (%s)%s", c.Name, plural(m.Copied, "blob"), bytesText(m.CopiedBytes), because(told))
		}
		return m.Role == protocol.RoleVoter
	})
	m := find(&v, c.Name)
	switch {
	case err != nil && errors.Is(err, context.Canceled):
		return err
	case err != nil && !met:
		return fmt.Errorf("no coordinator is called %s; start it with the command that sheaf operator token prints", c.Name)
	case err != nil:
		return fmt.Errorf("%s has no vote yet: %w%s; it goes on trying", c.Name, err, because(told))
	case m == nil:
		return fmt.Errorf("%s was removed", c.Name)
	case m.Role == protocol.RoleLeaving:
		_, err = s.call(a.ctx, protocol.PurposeOperate, protocol.Operate{Action: protocol.ActionKeep, Node: m.Node})
	}
	return err
}

type operatorRemoveCommand struct {
	Name        string        `arg:"" help:"The coordinator that is to go for good."`
	Wait        time.Duration `help:"How long to wait until it is gone; the cluster goes on with it in any case." default:"10m"`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*operatorRemoveCommand) Help() string {
	return `Example:

    sheaf operator remove n3 --account n1/operator.key --server http://127.0.0.1:7711

The coordinator loses its vote for good when every blob is on a majority of those that stay: what only it and one other have is copied first. If it runs, it ends by itself and says so; it cannot come back but with an empty folder and a new name. It is refused where those that stay could not decide anything. Until it is gone, "sheaf operator add NAME" takes it back. Removing it again changes nothing.

For one that is lost for good, better start another one in its place, with --replace.`
}

// Run removes a coordinator.
func (c *operatorRemoveCommand) Run(a *app) error {
	s, err := c.operator(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	done, err := s.call(a.ctx, protocol.PurposeOperate, protocol.Operate{Action: protocol.ActionRemove, Node: task.NodeID(c.Name)})
	if err != nil {
		return err
	}
	told := ""
	v, err := s.awaitMembers(a, c.Wait, func(v *protocol.MembersView) bool {
		m := find(v, c.Name)
		if m != nil && m.Waits != told {
			told = m.Waits
			a.say("%s is still there%s", c.Name, because(told))
		}
		return m == nil
	})
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return fmt.Errorf("%s is not removed yet: %w%s; the cluster goes on with it, and sheaf operator add %s takes it back", c.Name, err, because(told), c.Name)
	}
	if a.json {
		a.print(map[string]any{"node": c.Name, "removed": true, "existed": done.Existed, "members": len(v.Members)})
	} else {
		a.say("%s is removed; %s left.", c.Name, pluralAre(len(v.Members), "coordinator"))
	}
	return nil
}

func pluralAre(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return plural(n, noun) + " are"
}
