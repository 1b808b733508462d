package client_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// V2 and T1: what the owner does not allow, what nobody signed, and what is not
// what it is said to be, is given back and never runs.
func TestV2T1NeverRuns(t *testing.T) {
	other := privateKey(7)
	for name, c := range map[string]struct {
		change  func(*protocol.Attempt)
		rules   func(*plan.Rules)
		failure protocol.Failure
		note    string
	}{
		"T1: a wrong checksum":          {change: func(a *protocol.Attempt) { a.Sum[0]++ }, failure: protocol.FailureProgram, note: "T1"},
		"T1: other arguments":           {change: func(a *protocol.Attempt) { a.Task.Args[0] = "x" }, failure: protocol.FailureProgram, note: "T1"},
		"T1: other limits":              {change: func(a *protocol.Attempt) { a.Task.Limits.Work++ }, failure: protocol.FailureProgram, note: "T1"},
		"V2: nobody signed":             {change: func(a *protocol.Attempt) { a.Version.Signature = nil }, failure: protocol.FailureProgram, note: "not signed"},
		"V2: signed by another":         {change: func(a *protocol.Attempt) { a.Version.Publisher = protocol.PublicKey(other) }, failure: protocol.FailureProgram, note: "not signed"},
		"V2: signed for another app":    {change: func(a *protocol.Attempt) { a.Version.App = "other" }, failure: protocol.FailureProgram, note: "not signed"},
		"V2: signed with another meter": {change: func(a *protocol.Attempt) { a.Task.Meter = 2; a.Sum = a.Task.Sum() }, failure: protocol.FailureProgram, note: "not signed"},
		"V2: another project":           {rules: func(r *plan.Rules) { r.AllowAll, r.Allow = false, []string{"digits"} }, failure: protocol.FailureAbandoned, note: "V2"},
		"V2: no name":                   {change: func(a *protocol.Attempt) { a.Version.Project = ""; sign(a) }, failure: protocol.FailureAbandoned, note: "V2"},
		"V2: a name that is none":       {change: func(a *protocol.Attempt) { a.Version.Project = "No Name"; sign(a) }, failure: protocol.FailureProgram, note: "name"},
		"more memory than is offered":   {change: func(a *protocol.Attempt) { a.Task.Limits.Memory = 1 << 32; sign(a) }, failure: protocol.FailureAbandoned, note: "memory"},
		"an input from before its blob": {change: func(a *protocol.Attempt) {
			a.Task.Inputs = []task.InputRange{{Path: "x", Offset: -5, Length: 9}}
			sign(a)
		}, failure: protocol.FailureProgram, note: "input"},
		"an input without end": {change: func(a *protocol.Attempt) {
			a.Task.Inputs = []task.InputRange{{Path: "x", Offset: 1 << 39, Length: 1 << 62}}
			sign(a)
		}, failure: protocol.FailureProgram, note: "input"},
		"inputs of terabytes":              {change: func(a *protocol.Attempt) { a.Task.Inputs = []task.InputRange{{Path: "x", Length: 1 << 39}}; sign(a) }, failure: protocol.FailureProgram, note: "inputs of more"},
		"a program that is not there":      {change: func(a *protocol.Attempt) { a.Task.Program[0]++; sign(a) }, failure: protocol.FailureInput, note: "program"},
		"an input that is not there":       {change: input(task.InputRange{Path: "x", Blob: task.Digest{1}, Length: 5}), failure: protocol.FailureInput, note: "input"},
		"an input that is not what it was": {change: input(task.InputRange{Path: "x", Blob: task.Sum([]byte("module")), Length: 3, Digest: task.Digest{5}}), failure: protocol.FailureInput, note: "digest"},
		"an input longer than its blob":    {change: input(task.InputRange{Path: "x", Blob: task.Sum([]byte("module")), Length: 300, Digest: task.Digest{5}}), failure: protocol.FailureInput, note: "ends at byte"},
		"an empty input that is not":       {change: input(task.InputRange{Path: "x", Digest: task.Digest{5}}), failure: protocol.FailureInput, note: "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.change = func(cfg *client.Config) {
					if c.rules != nil {
						c.rules(&cfg.Rules)
					}
				}
				id := w.c.task(w.program, c.change, "say", "1s", "x")
				w.start()
				w.untilReported(id)
				if r := w.c.reported(id); r.Failure != c.failure || !strings.Contains(r.Note, c.note) {
					t.Errorf("reported %v %q, want %v with %q", r.Failure, r.Note, c.failure, c.note)
				}
				if len(w.ran()) != 0 {
					t.Errorf("V2: it ran: %q", w.ran())
				}
			})
		})
	}
}

func input(in task.InputRange) func(*protocol.Attempt) {
	return func(a *protocol.Attempt) {
		a.Task.Inputs = []task.InputRange{in}
		sign(a)
	}
}

// A project belongs to the first key that signed for it on this machine.
func TestProjectKeepsItsPublisher(t *testing.T) {
	story(t, func(w *world) {
		first := w.c.task(w.program, nil, "say", "1s", "x")
		w.start()
		w.untilReported(first)
		w.stop()
		id := w.c.task(w.program, func(a *protocol.Attempt) {
			thief := privateKey(66)
			a.Version.Publisher = protocol.PublicKey(thief)
			a.Version.Signature = protocol.SignVersion(thief, a.Version.Project, a.Version.App, a.Task.Program, a.Task.Meter)
		}, "say", "1s", "x")
		w.start()
		w.untilReported(id)
		if r := w.c.reported(id); r.Failure != protocol.FailureProgram || !strings.Contains(r.Note, "was published by") || len(w.ran()) != 1 {
			t.Errorf("reported %v %q after %d runs", r.Failure, r.Note, len(w.ran()))
		}
	})
}

// V2: a project that is disallowed while its task runs is stopped and given back.
func TestV2RulesChangeWhileItRuns(t *testing.T) {
	story(t, func(w *world) {
		id := w.c.task(w.program, nil, "say", "1h", "x")
		w.start()
		w.until("it runs", func() bool { return w.running() == 1 })
		rules := w.agent.Rules()
		rules.AllowAll, rules.Allow = false, []string{"digits"}
		if err := w.agent.SetRules(rules); err != nil {
			t.Fatal(err)
		}
		w.untilReported(id)
		if r := w.c.reported(id); r.Failure != protocol.FailureAbandoned || w.running() != 0 {
			t.Errorf("reported %v, %d run", r.Failure, w.running())
		}
		rules.Cores = -1
		if err := w.agent.SetRules(rules); !errors.Is(err, client.ErrBadConfig) {
			t.Errorf("impossible rules: %v", err)
		}
	})
}
