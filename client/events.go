package client

import (
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// EventKind says what happened.
type EventKind string

// The events, in about the order in which a task meets them.
const (
	EventEnrolled     EventKind = "enrolled"     // the cluster knows this machine
	EventAccepted     EventKind = "accepted"     // an attempt is in the journal
	EventStarted      EventKind = "started"      // it runs
	EventStopped      EventKind = "stopped"      // it was stopped, and goes on later
	EventComputed     EventKind = "computed"     // it has a result
	EventFailed       EventKind = "failed"       // it brought no result, or was given back
	EventForgotten    EventKind = "forgotten"    // nobody waits for it
	EventAcknowledged EventKind = "acknowledged" // its report is durable
	EventTrouble      EventKind = "trouble"      // something on this machine makes tasks fail
	EventRefused      EventKind = "refused"      // a coordinator refused a request
	EventSession      EventKind = "session"      // a new run of numbered requests began
)

// Event is something that happened, for people and programs that watch.
type Event struct {
	Kind    EventKind
	Text    string         // a sentence, where there is more to say
	Attempt task.AttemptID // of events about one attempt; otherwise 0
	Job     task.JobID
	Level   uint8
	Index   uint64
	Project string
	App     string
	Ack     protocol.Ack // of EventAcknowledged
}

// tell passes an event on. h is nil where it is about no attempt.
func (r *run) tell(kind EventKind, h *held, text string) {
	r.send(Event{Kind: kind, Text: text}, h)
}

func (r *run) send(e Event, h *held) {
	attrs := []any{"event", string(e.Kind)}
	if h != nil {
		t := &h.attempt.Task
		e.Attempt, e.Job, e.Level, e.Index = h.attempt.ID, t.Job, t.Level, t.Index
		e.Project, e.App = h.attempt.Version.Project, h.attempt.Version.App
		attrs = append(attrs, "attempt", e.Attempt, "job", e.Job.String(), "level", e.Level, "index", e.Index, "project", e.Project, "app", e.App)
	}
	if e.Ack != 0 {
		attrs = append(attrs, "ack", e.Ack.String())
	}
	if e.Text != "" {
		attrs = append(attrs, "text", e.Text)
	}
	if e.Kind == EventTrouble || e.Kind == EventRefused {
		r.cfg.Logger.Warn("client", attrs...)
	} else {
		r.cfg.Logger.Debug("client", attrs...)
	}
	r.cfg.Observe(e)
}
