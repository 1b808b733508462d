// Package web holds the pages that people see in a browser: templates and a
// style sheet, embedded, with no build step, no script and no request to
// anybody else.
//
// A page is made from one of the structs here and nothing else, so that what
// it shows is what its data says. Names that strangers chose are escaped by
// html/template.
package web

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"strings"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed assets
var assets embed.FS

// Assets are the files that pages refer to, as "style.css" and so on.
func Assets() fs.FS {
	sub, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return sub
}

// Status is the page at the coordinator's address.
type Status struct {
	Cluster  protocol.ClusterView
	Node     protocol.NodeView
	Jobs     []protocol.JobView // newest first
	MoreJobs int                // that are not shown
	Hosts    []protocol.HostView
	Queue    Queue
	Stale    bool // the node that answers does not lead, and may lack the last moments
	Every    int  // seconds after which the page asks for itself again; 0: never
}

// Queue is what waits and what runs, over all jobs.
type Queue struct {
	Untouched uint64 // tasks that nobody was given yet
	Waiting   uint64 // tasks that want a further attempt
	Running   int    // attempts that are out
}

// Job is the page of one job.
type Job struct {
	Cluster protocol.ClusterView
	Job     protocol.JobView
	Stale   bool // see Status
	Every   int
}

// Pages renders pages.
type Pages struct{ t *template.Template }

// New parses the templates.
func New() (*Pages, error) {
	funcs := template.FuncMap{"ago": ago, "count": count, "digest": task.Digest.Short, "percent": percent, "sentence": sentence, "noun": noun, "bad": badTasks, "check": check}
	t, err := template.New("").Funcs(funcs).ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return &Pages{t: t}, nil
}

// Status writes the status page.
func (p *Pages) Status(w io.Writer, s Status) error { return p.t.ExecuteTemplate(w, "status.html", s) }

// Job writes the page of a job.
func (p *Pages) Job(w io.Writer, j Job) error { return p.t.ExecuteTemplate(w, "job.html", j) }

// ago says how long before now a time was, in the largest unit that fits.
func ago(now, then task.Millis) string {
	s := int64(max(0, now-then)) / 1000
	switch {
	case s < 5:
		return "just now"
	case s < 120:
		return fmt.Sprintf("%d s ago", s)
	case s < 2*3600:
		return fmt.Sprintf("%d min ago", s/60)
	case s < 48*3600:
		return fmt.Sprintf("%d h ago", s/3600)
	}
	return fmt.Sprintf("%d days ago", s/86400)
}

// count writes a number with thin spaces between groups of three digits.
func count(v any) string {
	s := fmt.Sprint(v)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func percent(part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	return part * 100 / whole
}

// noun is a noun in the number that n asks for.
func noun(n any, one, many string) string {
	if fmt.Sprint(n) == "1" {
		return one
	}
	return many
}

// badTasks counts a job's final tasks that did not end with 0, in words; ""
// where there is none.
func badTasks(j protocol.JobView) string {
	var words []string
	var reduction uint64
	for _, l := range j.Levels {
		switch {
		case l.Level > 0:
			reduction += l.Errors + l.Failed
			continue
		case l.Errors > 0:
			words = append(words, count(l.Errors)+" "+noun(l.Errors, "error", "errors"))
		}
		if l.Failed > 0 {
			words = append(words, count(l.Failed)+" failed")
		}
	}
	if reduction > 0 {
		words = append(words, count(reduction)+" "+noun(reduction, "error", "errors")+" in the reduction")
	}
	return strings.Join(words, ", ")
}

// check says how each task's result is checked.
func check(replicate uint8) string {
	switch replicate {
	case 0, 1:
		return "computed once, by one volunteer"
	case 2:
		return "computed by 2 volunteers of different accounts; 2 equal results decide"
	}
	return fmt.Sprintf("computed by up to %d volunteers of different accounts; %d equal results decide", replicate, replicate/2+1)
}

func sentence(r task.Reason) string { return r.Sentence() }
