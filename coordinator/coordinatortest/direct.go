package coordinatortest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
)

// Client reaches the nodes by their URLs, as far as they are up.
func (c *Cluster) Client() *http.Client { return &http.Client{Transport: direct{c, ""}} }

// direct hands the requests of one caller, a node or somebody outside (""), to
// handlers.
type direct struct {
	c    *Cluster
	from string
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
	to, _ := d.c.nameOf(r.URL.Host)
	done := make(chan answer, 1)
	d.c.onTheirWay.Go(func() { // it goes on when its caller has given up
		var a answer
		a.err = d.c.Net.carry(d.from, to, func() error {
			if d.c.Net.holds(d.from, r.URL.Path) {
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
	_, n := d.c.nameOf(host)
	if n == nil {
		return nil
	}
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	if n.running == nil {
		return nil
	}
	return n.running.Handler()
}

// nameOf finds a node by the host of its URL.
func (c *Cluster) nameOf(host string) (string, *Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.Nodes {
		if "http://"+host == n.URL {
			return string(n.Name), n
		}
	}
	return "", nil
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
