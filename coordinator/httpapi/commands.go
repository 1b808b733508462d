package httpapi

import (
	"context"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/wasm"
)

// command carries out a signed request that is not an exchange: what can be
// verified before the log is verified here, the rest in Apply.
func (s *Server) command(ctx context.Context, e *protocol.Envelope) (*protocol.Done, error) {
	q := state.RequestOf(e)
	var result state.Result
	var known bool
	now := s.cfg.Node.Now()
	stranger := false
	s.view(func(v view) {
		result, known = v.Precheck(q, now)
		_, account := v.AccountByKey(q.Key)
		stranger = !account && e.Purpose != protocol.PurposeEnrol && e.Purpose != protocol.PurposeCreateProject
	})
	if stranger { // the log is not for whoever comes along
		return nil, protocol.Refuse(protocol.CodeUnknownKey, "account %s is not known in this cluster; it begins with a project (sheaf project create) or a volunteer's client", q.Key)
	}
	if !known {
		c, err := s.prepare(ctx, e, q)
		if err != nil {
			return nil, err
		}
		if result, err = s.cfg.Node.Propose(ctx, c); err != nil {
			return nil, err
		}
		if result.Answer.Error == nil {
			s.operated(c)
		}
	}
	if result.Answer.Error != nil {
		return nil, result.Answer.Error
	}
	done := &protocol.Done{Job: result.Answer.Job, Existed: result.Answer.Existed, Time: s.cfg.Node.Now(), Leader: s.cfg.Node.Leader()}
	s.view(func(v view) { done.Members = v.members() })
	return done, nil
}

func (s *Server) prepare(ctx context.Context, e *protocol.Envelope, q state.Request) (state.Command, error) {
	switch e.Purpose {
	case protocol.PurposeEnrol:
		return prepareEnrol(e, q)
	case protocol.PurposeCreateProject:
		var p protocol.CreateProject
		if err := e.Decode(&p); err != nil {
			return nil, err
		}
		if err := errors.Join(checkText("description", p.Description, 1000), checkText("account name", p.AccountName, 64)); err != nil {
			return nil, protocol.Refuse(protocol.CodeInvalid, "%v", err)
		}
		return &state.CreateProject{Request: q, Name: p.Name, Description: p.Description, AccountName: p.AccountName}, nil
	case protocol.PurposePublish:
		return s.preparePublish(ctx, e, q)
	case protocol.PurposeSubmit:
		return s.prepareSubmit(ctx, e, q)
	case protocol.PurposeCancel:
		var p protocol.Cancel
		if err := e.Decode(&p); err != nil {
			return nil, err
		}
		return &state.CancelJob{Request: q, Job: p.Job}, nil
	case protocol.PurposeSetPublishers:
		var p protocol.SetPublishers
		if err := e.Decode(&p); err != nil {
			return nil, err
		}
		if len(p.Listed) > 4096 {
			return nil, protocol.Refuse(protocol.CodeTooLarge, "%d publishers, at most 4096 can be listed", len(p.Listed))
		}
		return &state.SetPublishers{Request: q, Anyone: p.Anyone, Listed: p.Listed}, nil
	case protocol.PurposeOperate:
		return s.prepareOperate(ctx, e, q)
	}
	return nil, protocol.Refuse(protocol.CodeMalformed, "purpose %d is not known", e.Purpose)
}

func prepareEnrol(e *protocol.Envelope, q state.Request) (state.Command, error) {
	var p protocol.Enrol
	if err := e.Decode(&p); err != nil {
		return nil, err
	}
	if !protocol.VerifyCertificate(p.Account, e.Key, p.Certificate) {
		return nil, protocol.Refuse(protocol.CodeBadSignature, "account %s did not certify host %s", p.Account, e.Key)
	}
	if err := errors.Join(checkText("account name", p.AccountName, 64), checkText("host name", p.HostName, 64)); err != nil {
		return nil, protocol.Refuse(protocol.CodeInvalid, "%v", err)
	}
	if err := p.Facts.Check(); err != nil {
		return nil, err
	}
	return &state.Enrol{Request: q, Account: p.Account, AccountName: p.AccountName, HostName: p.HostName, Facts: p.Facts}, nil
}

// checkText refuses what should not be shown to people.
func checkText(what, text string, limit int) error {
	if len(text) > limit || !utf8.ValidString(text) {
		return fmt.Errorf("%s: want at most %d bytes of text", what, limit)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%s: the character %q cannot be shown", what, r)
		}
	}
	return nil
}

// maxProgram bounds a program, in bytes.
const maxProgram = 32 << 20

// preparePublish makes sure that a build is signed by its publisher and is a
// program that volunteers can run.
func (s *Server) preparePublish(ctx context.Context, e *protocol.Envelope, q state.Request) (state.Command, error) {
	var p protocol.Publish
	if err := e.Decode(&p); err != nil {
		return nil, err
	}
	if !protocol.VerifyVersion(e.Key, p.Project, p.App, p.Program, p.Meter, p.Signature) {
		return nil, protocol.Refuse(protocol.CodeBadSignature, "the build is not signed by account %s", e.Key)
	}
	if p.Meter != wasm.CurrentMeter {
		return nil, protocol.Refuse(protocol.CodeInvalid, "meter version %d is not known here, version %d is", p.Meter, wasm.CurrentMeter)
	}
	module, err := s.cfg.Public.ReadAll(ctx, p.Program, maxProgram)
	if err != nil {
		return nil, blobRefusal("program", p.Program, err)
	}
	if _, err := wasm.Check(module, wasm.ProgramRules(uint32(task.MaxMemory/task.WasmPage))); err != nil {
		return nil, protocol.Refuse(protocol.CodeInvalid, "program %s: %v", p.Program.Short(), err)
	}
	if err := s.keep(ctx, p.Program); err != nil {
		return nil, err
	}
	return &state.Publish{Request: q, Project: p.Project, App: p.App, Program: p.Program, Meter: p.Meter, Signature: p.Signature}, nil
}

// blobRefusal tells a publisher about a blob that could not be read.
func blobRefusal(what string, digest task.Digest, err error) error {
	switch {
	case errors.Is(err, storage.ErrNoSpace):
		return protocol.Refuse(protocol.CodeNoSpace, "%s %s: the coordinator has no room to fetch it from another one; free some of its disk (%v)", what, digest.Short(), err)
	case errors.Is(err, storage.ErrNotFound):
		return protocol.Refuse(protocol.CodeMissingBlob, "%s %s was not uploaded; upload it and send the request again", what, digest.Short())
	case errors.Is(err, storage.ErrTooLarge):
		return protocol.Refuse(protocol.CodeTooLarge, "%s %s: %v", what, digest.Short(), err)
	case errors.Is(err, storage.ErrUnavailable):
		return outOfReach(what, digest, err)
	}
	return fmt.Errorf("%s %s: %w", what, digest, err)
}
