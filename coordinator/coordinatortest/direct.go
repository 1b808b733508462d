package coordinatortest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/task"
)

// Client reaches the nodes by their URLs, as clients do, as far as they are up.
func (c *Cluster) Client() *http.Client { return &http.Client{Transport: direct{c: c}} }

// PeerClient reaches the nodes by their names, as a node does; nil: as somebody
// without a certificate.
func (c *Cluster) PeerClient(from *Node) *http.Client { return reach{c, from}.Client() }

// reach is how a node reaches the others: by their names, as who it is. A nil
// node is a stranger.
type reach struct {
	c    *Cluster
	from *Node
}

// Client reaches any node.
func (r reach) Client() *http.Client { return &http.Client{Transport: direct{r.c, r.from, true}} }

// ClientAt reaches any node: addresses are names here.
func (r reach) ClientAt(task.NodeID, string) *http.Client { return r.Client() }

// direct hands the requests of one caller to handlers: those for coordinators,
// inside, and those for clients. A nil node is somebody else.
type direct struct {
	c      *Cluster
	from   *Node
	inside bool
}

// name is the caller's; "": it is no node.
func (d direct) name() string {
	if d.from == nil {
		return ""
	}
	return string(d.from.Name)
}

// RoundTrip calls the handler of the node that the URL names.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.c.Net == nil {
		return d.call(r)
	}
	type answer struct {
		res *http.Response
		err error
	}
	to := ""
	if n := d.node(r.URL.Host); n != nil {
		to = string(n.Name)
	}
	done := make(chan answer, 1)
	d.c.onTheirWay.Go(func() { // it goes on when its caller has given up
		var a answer
		a.err = d.c.Net.carry(d.name(), to, func() error {
			if d.c.Net.holds(d.name(), r.URL.Path) {
				return errLost
			}
			a.res, a.err = d.call(r)
			return a.err
		})
		if a.err != nil {
			a.res = nil
		}
		done <- a
	})
	select {
	case a := <-done:
		return a.res, a.err
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// call runs the handler here and now.
func (d direct) call(r *http.Request) (*http.Response, error) {
	h := d.handler(r.URL.Host)
	if h == nil {
		return nil, fmt.Errorf("dial %s: connection refused", r.URL.Host)
	}
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:4711"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if d.from != nil {
		in = in.WithContext(peers.WithCaller(in.Context(), peers.Peer{Node: d.from.Name, Key: d.from.key()}))
	}
	w := httptest.NewRecorder()
	aborted := serve(h, w, in)
	if aborted || d.handler(r.URL.Host) == nil {
		return nil, fmt.Errorf("read from %s: connection reset", r.URL.Host) // it died while it answered
	}
	return w.Result(), nil
}

// serve calls a handler and reports whether it aborted the connection.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		p := recover()
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			aborted = true
		} else if p != nil {
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

func (d direct) handler(host string) http.Handler {
	n := d.node(host)
	if n == nil {
		return nil
	}
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	switch {
	case n.Running() == nil:
		return nil
	case d.inside:
		return n.Running().PeerHandler()
	}
	return n.Running().Handler()
}

// node finds a node by the host of a URL: its name, or, for clients, that of
// its own URL.
func (d direct) node(host string) *Node {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	for _, n := range d.c.Nodes {
		if d.inside && host == string(n.Name) || !d.inside && "http://"+host == n.URL {
			return n
		}
	}
	return nil
}

// Rotate moves the first node to the end.
func (c *Cluster) Rotate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Nodes = append(slices.Clone(c.Nodes[1:]), c.Nodes[0])
}

// URLs are where the nodes are reached, in the order in which they were added.
func (c *Cluster) URLs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	urls := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		urls[i] = n.URL
	}
	return urls
}
