package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// view is the state as one request reads it. It is good inside of Server.view.
type view struct{ *state.State }

func (s *Server) view(fn func(view)) {
	s.cfg.Node.View(func(st *state.State) { fn(view{st}) })
}

// send answers with JSON.
func (s *Server) send(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.fail(w, fmt.Errorf("writing %T: %w", v, err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Access-Control-Allow-Origin", "*") // it is public, and read-only
	_, _ = w.Write(append(b, '\n'))                    // a reader that went away asks again
}

// fail answers with a refusal as JSON.
func (s *Server) fail(w http.ResponseWriter, err error) {
	e := s.refusal(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.HTTPStatus())
	b, err := json.Marshal(e)
	if err == nil {
		_, _ = w.Write(append(b, '\n')) // see send
	}
}

func (s *Server) serveCluster(w http.ResponseWriter, _ *http.Request) {
	s.send(w, s.clusterView())
}

func (v view) members() []protocol.Member {
	out := []protocol.Member{}
	v.Members(func(m *state.Member) {
		if !m.Joining { // it has nothing yet that anyone could want
			out = append(out, protocol.Member{Node: m.Node, URL: m.URL})
		}
	})
	return out
}

func (v view) jobCounts() (c protocol.JobCounts) {
	for n := task.JobNumber(1); n <= v.Jobs(); n++ {
		switch j, _ := v.Job(n); j.State {
		case state.JobRunning:
			c.Running++
		case state.JobDone:
			c.Done++
		case state.JobCancelled:
			c.Cancelled++
		}
	}
	return c
}

func (s *Server) serveNode(w http.ResponseWriter, _ *http.Request) { s.send(w, s.cfg.Node.Status()) }

func (s *Server) serveDigest(w http.ResponseWriter, _ *http.Request) {
	index, digest := s.cfg.Node.Digest()
	s.send(w, protocol.DigestView{Node: s.cfg.Name, Index: index, Digest: digest})
}

// serveReady says whether a load balancer should send requests here.
func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	if err := s.cfg.Ready(); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (s *Server) serveHosts(w http.ResponseWriter, _ *http.Request) {
	hosts := []protocol.HostView{}
	s.view(func(v view) { hosts = append(hosts, v.hosts()...) })
	s.send(w, hosts)
}

func (v view) hosts() []protocol.HostView {
	var out []protocol.HostView
	v.Hosts(func(_ task.HostID, h *state.Host) {
		out = append(out, protocol.HostView{
			Host: h.Key, Name: h.Name, Account: v.Account(h.Account).Name, OS: h.Facts.OS, Arch: h.Facts.Arch,
			Cores: h.Facts.Cores, Seen: h.Seen, Valid: h.Valid, Wrong: h.Wrong, Credit: h.Earned,
		})
	})
	return out
}

func (s *Server) serveProjects(w http.ResponseWriter, _ *http.Request) {
	projects := []protocol.ProjectView{}
	s.view(func(v view) {
		v.Projects(func(_ task.ProjectID, p *state.Project) {
			projects = append(projects, protocol.ProjectView{Name: p.Name, Description: p.Description, Owner: v.Account(p.Owner).Key, Credit: -p.Spent})
		})
	})
	s.send(w, projects)
}

// pageBounds reads from and limit of a query.
func pageBounds(r *http.Request) (from uint64, limit int, err error) {
	limit = protocol.MaxPage
	q := r.URL.Query()
	if t := q.Get("from"); t != "" {
		if from, err = strconv.ParseUint(t, 10, 64); err != nil {
			return 0, 0, protocol.Refuse(protocol.CodeMalformed, "from: want the number of a task, got %q", t)
		}
	}
	if t := q.Get("limit"); t != "" {
		if limit, err = strconv.Atoi(t); err != nil || limit < 1 || limit > protocol.MaxPage {
			return 0, 0, protocol.Refuse(protocol.CodeMalformed, "limit: want 1 to %d, got %q", protocol.MaxPage, t)
		}
	}
	return from, limit, nil
}
