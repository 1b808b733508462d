package main

import (
	"fmt"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

type projectCommand struct {
	Create projectCreateCommand `cmd:"" help:"Make a project; it belongs to your account."`
}

type projectCreateCommand struct {
	Name        string `arg:"" help:"Its name: a-z, 0-9 and dashes, unique in the cluster. Volunteers allow projects by it."`
	Description string `help:"What it computes, and what for, for volunteers."`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*projectCreateCommand) Help() string {
	return `Example:

    sheaf project create rare-proteins --description "Folding of proteins behind rare diseases" --server http://127.0.0.1:7710

sheaf job submit makes the project that a job file names, too.`
}

// Run makes the project.
func (c *projectCreateCommand) Run(a *app) error {
	if err := task.CheckHandle(c.Name); err != nil {
		return failure{fmt.Errorf("project: %w", err), exitUsage}
	}
	s, err := c.connect(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	done, err := s.call(a.ctx, protocol.PurposeCreateProject, protocol.CreateProject{Name: c.Name, Description: c.Description, AccountName: s.name()})
	if err != nil {
		return err
	}
	switch {
	case a.json:
		a.print(map[string]any{"project": c.Name, "owner": protocol.PublicKey(s.key), "existed": done.Existed})
	case done.Existed:
		a.say("The project %s is yours already.", c.Name)
	default:
		a.say("Made the project %s. Volunteers help it with: sheaf client --join %s --allow %s", c.Name, c.Server[0], c.Name)
	}
	return nil
}
