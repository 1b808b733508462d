package remote_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// office carries out publishers' requests, each once.
type office struct {
	t       *testing.T
	numbers []uint64
	opened  map[task.SessionID]task.Millis
	before  func(e *protocol.Envelope) *protocol.Reply // may answer first
}

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == protocol.PathCluster {
		text(200, "application/json", asJSON(o.t, view()))(w, r)
		return
	}
	b, _ := io.ReadAll(r.Body)
	e, err := protocol.OpenEnvelope(b, cluster)
	if err != nil {
		o.t.Error(err)
		return
	}
	if o.before != nil {
		if reply := o.before(e); reply != nil {
			replies(reply)(w, r)
			return
		}
	}
	o.numbers = append(o.numbers, e.Number)
	if o.opened == nil {
		o.opened = map[task.SessionID]task.Millis{}
	}
	o.opened[e.Session] = e.Opened
	var c protocol.Cancel
	if err := e.Decode(&c); err != nil || e.Key != protocol.PublicKey(key) {
		o.t.Errorf("key %s, %v", e.Key, err)
	}
	replies(&protocol.Reply{Done: &protocol.Done{Job: c.Job, Time: 9}})(w, r)
}

func TestSessionNumbersItsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		o := &office{t: t}
		n.serve("a:80", o.ServeHTTP)
		s := n.open("http://a").NewSession(key)
		for i := range 3 {
			want := task.JobID{byte(i)}
			d, err := s.Call(t.Context(), protocol.PurposeCancel, protocol.Cancel{Job: want})
			if err != nil || d.Job != want {
				t.Errorf("call %d: got %+v, %v", i, d, err)
			}
		}
		refused := protocol.Refuse(protocol.CodeNotFound, "no such job")
		o.before = func(*protocol.Envelope) *protocol.Reply { return &protocol.Reply{Error: refused} }
		if _, err := s.Call(t.Context(), protocol.PurposeCancel, protocol.Cancel{}); !protocol.HasCode(err, protocol.CodeNotFound) {
			t.Errorf("got %v, want the refusal", err)
		}
		o.before = nil
		if _, err := s.Call(t.Context(), protocol.PurposeCancel, protocol.Cancel{}); err != nil {
			t.Error(err)
		}
		if want := []uint64{1, 2, 3, 5}; !reflect.DeepEqual(o.numbers, want) || len(o.opened) != 1 {
			t.Errorf("numbers %v in %d sessions, want %v in 1", o.numbers, len(o.opened), want)
		}
		for _, opened := range o.opened {
			if opened != view().Time {
				t.Errorf("opened at %d, want %d", opened, view().Time)
			}
		}
	})
}

// A session that the cluster has forgotten is opened again: nothing of the
// request was carried out.
func TestForgottenSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		o := &office{t: t}
		n.serve("a:80", o.ServeHTTP)
		s := n.open("http://a").NewSession(key)
		if _, err := s.Call(t.Context(), protocol.PurposeCancel, protocol.Cancel{}); err != nil {
			t.Fatal(err)
		}
		o.before = func(e *protocol.Envelope) *protocol.Reply {
			if _, known := o.opened[e.Session]; known {
				return &protocol.Reply{Error: protocol.Refuse(protocol.CodeSession, "forgotten")}
			}
			return nil
		}
		if _, err := s.Call(t.Context(), protocol.PurposeCancel, protocol.Cancel{}); err != nil {
			t.Fatal(err)
		}
		if want := []uint64{1, 1}; !reflect.DeepEqual(o.numbers, want) || len(o.opened) != 2 {
			t.Errorf("numbers %v in %d sessions, want %v in 2", o.numbers, len(o.opened), want)
		}
	})
}

func TestUnknownOutcomeIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		o := &office{t: t}
		n.serve("a:80", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == protocol.PathRequests {
				drop(w, r)
			}
			o.ServeHTTP(w, r)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := n.open("http://a").NewSession(key).Call(ctx, protocol.PurposeCancel, protocol.Cancel{})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, remote.ErrUnreachable) {
			t.Errorf("got %v", err)
		}
		n.serve("a:80", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == protocol.PathRequests {
				replies(exchangeReply(""))(w, r)
				return
			}
			o.ServeHTTP(w, r)
		})
		n.own.CloseIdleConnections()
		if _, err := n.open("http://a").NewSession(key).Call(t.Context(), protocol.PurposeCancel, protocol.Cancel{}); !errors.Is(err, remote.ErrMalformed) {
			t.Errorf("an exchange where a confirmation belongs: %v", err)
		}
	})
}

// FuzzAnswer lets a coordinator answer anything.
func FuzzAnswer(f *testing.F) {
	f.Add(200, protocol.ContentType, done().Encode())
	f.Add(429, "application/json", []byte(`{"code":13,"error":"later"}`))
	f.Add(404, "text/html", []byte("<h1>"))
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			defer n.close()
			n.serve("a:80", text(status, kind, string(body)))
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			r := n.open("http://a")
			if reply, err := r.Send(ctx, []byte("x")); err == nil && (reply.Exchange == nil) == (reply.Done == nil) {
				t.Errorf("accepted %+v", reply)
			}
			if v, err := r.Cluster(ctx); err == nil && v.Cluster != cluster {
				t.Errorf("accepted %+v", v)
			}
			_ = r.Download(ctx, task.Digest{}, 0, 5, io.Discard)
		})
	})
}
