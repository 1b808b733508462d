package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/sheafgrid/sheaf/client/identity"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/wasm"
)

type appCommand struct {
	Publish appPublishCommand `cmd:"" help:"Publish a build of a program under a project."`
}

type appPublishCommand struct {
	Program     string `arg:"" help:"The program: a WebAssembly module." placeholder:"PROGRAM.wasm"`
	Project     string `help:"The project; it must be yours." required:"" placeholder:"NAME"`
	App         string `help:"The app's name; default: that of the file." placeholder:"NAME"`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*appPublishCommand) Help() string {
	return `Example:

    sheaf app publish train.wasm --project rare-proteins --server http://127.0.0.1:7710

You sign the build with your account's key, which no coordinator has; volunteers run nothing else. Publishing the same build again changes nothing. sheaf job submit publishes what a job file names, too.`
}

// Run publishes the build.
func (c *appPublishCommand) Run(a *app) error {
	module, err := loadProgram(c.Program, task.MaxMemory)
	if err != nil {
		return err
	}
	if c.App == "" {
		c.App = strings.ToLower(strings.TrimSuffix(filepath.Base(c.Program), filepath.Ext(c.Program)))
	}
	if err := task.CheckHandle(c.Project); err != nil {
		return failure{fmt.Errorf("--project: %w", err), exitUsage}
	}
	if err := task.CheckHandle(c.App); err != nil {
		return failure{fmt.Errorf("app: %w; give one with --app", err), exitUsage}
	}
	s, err := c.connect(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	digest := task.Sum(module)
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(module)), nil }
	if err := s.remote.Upload(a.ctx, s.key, protocol.PathBlobs, digest, int64(len(module)), open); err != nil {
		return fmt.Errorf("uploading %s: %w", c.Program, err)
	}
	done, err := s.publish(a.ctx, c.Project, c.App, digest, wasm.CurrentMeter)
	if protocol.HasCode(err, protocol.CodeUnknownKey) || protocol.HasCode(err, protocol.CodeNotFound) {
		return fmt.Errorf("%w; run: sheaf project create %s", err, c.Project)
	}
	if err != nil {
		return err
	}
	if a.json {
		a.print(map[string]any{"project": c.Project, "app": c.App, "program": digest, "meter": wasm.CurrentMeter, "existed": done.Existed})
		return nil
	}
	a.say("Published %s of project %s: %s, %s, signed by %s.", c.App, c.Project, digest.Short(), bytesText(int64(len(module))), s.name())
	return nil
}

// loadProgram reads a program as volunteers would run it, with memory as its
// limit, in bytes. What is published, what a job names and what is tried by
// hand all go this way.
func loadProgram(path string, memory uint64) ([]byte, error) {
	module, err := publisher.LoadProgram(path, memory)
	switch {
	case errors.Is(err, publisher.ErrProgram):
		return nil, fmt.Errorf("%s %w", path, err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s", path)
	case err != nil:
		return nil, fmt.Errorf("program %s: %w", path, err)
	}
	return module, nil
}

// publish signs and publishes an uploaded program.
func (s *session) publish(ctx context.Context, project, app string, program task.Digest, meter uint16) (*protocol.Done, error) {
	return s.call(ctx, protocol.PurposePublish, protocol.Publish{
		Project: project, App: app, Program: program, Meter: meter,
		Signature: protocol.SignVersion(s.key, project, app, program, meter),
	})
}

// name is the account's public name.
func (s *session) name() string { return identity.Name(protocol.PublicKey(s.key)) }
