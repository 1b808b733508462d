package httpapi

import (
	"bytes"
	"net/http"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/web"
)

// maxJobsShown bounds the table of jobs on the status page.
const maxJobsShown = 50

// maxHostsShown bounds the table of machines on the status page.
const maxHostsShown = 200

// pages mounts what a browser shows. Pages are made from this node's own
// state; unlike the JSON they do not ask the leader, and say so.
func (s *Server) pages() {
	p := s.cfg.Pages
	s.mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(web.Assets())))
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		page := s.status(r)
		page.Stale = s.stale(w)
		s.sendPage(w, &b, p.Status(&b, page))
	})
	s.mux.HandleFunc("GET /jobs/{job}", func(w http.ResponseWriter, r *http.Request) {
		page := web.Job{Every: every(r), Stale: s.stale(w)}
		err := s.withJob(r, func(v view, n task.JobNumber) error {
			page.Job = v.job(n, task.Key{})
			return nil
		})
		if err != nil {
			http.Error(w, s.refusal(err).Text, s.refusal(err).Code.HTTPStatus())
			return
		}
		page.Cluster = s.clusterView()
		var b bytes.Buffer
		s.sendPage(w, &b, p.Job(&b, page))
	})
}

// stale reports whether what this node shows may lack the last moments, and
// says so in a header.
func (s *Server) stale(w http.ResponseWriter) bool {
	if s.cfg.Node.Serving() {
		return false
	}
	w.Header().Set(headerStale, "true")
	return true
}

func (s *Server) sendPage(w http.ResponseWriter, b *bytes.Buffer, err error) {
	if err != nil {
		s.cfg.Logger.Error("a page could not be made", "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes()) // see send
}

// every is how often a page asks for itself again, in seconds.
func every(r *http.Request) int {
	if r.URL.Query().Get("every") == "5" {
		return 5
	}
	return 0
}

func (s *Server) clusterView() protocol.ClusterView {
	v := protocol.ClusterView{
		Cluster: s.cfg.Cluster, Protocol: protocol.Version, Node: s.cfg.Name, Leader: s.cfg.Node.Leader(), Time: s.cfg.Node.Now(),
	}
	s.view(func(st view) {
		if st.Cluster().ID.IsZero() { // it knows no time to open a session with: callers ask another
			v.Cluster = task.ClusterID{}
		}
		v.Version, v.Anyone, v.Hosts = st.Version(), st.Cluster().Anyone, st.HostCount()
		v.Members, v.Jobs = st.members(), st.jobCounts()
	})
	return v
}

func (s *Server) status(r *http.Request) web.Status {
	page := web.Status{Cluster: s.clusterView(), Node: s.cfg.Node.Status(), Every: every(r)}
	s.view(func(v view) {
		for n := v.Jobs(); n > 0 && len(page.Jobs) < maxJobsShown; n-- {
			page.Jobs = append(page.Jobs, v.job(n, task.Key{}))
		}
		page.MoreJobs = int(v.Jobs()) - len(page.Jobs)
		hosts := v.hosts()
		page.Hosts = hosts[max(0, len(hosts)-maxHostsShown):]
		page.Queue = v.queue()
	})
	return page
}

func (v view) queue() (q web.Queue) {
	for _, n := range v.ActiveJobs() {
		id := v.CurrentStage(n)
		st := v.Stage(id)
		q.Untouched += st.Count - st.Cursor
		q.Waiting += v.WaitingCount(id)
	}
	v.Projects(func(id task.ProjectID, _ *state.Project) { q.Running += v.ProjectOpen(id) })
	return q
}
