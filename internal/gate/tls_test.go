package gate_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sheafgrid/sheaf/internal/gate"
)

// Below TLS a gate sees what becomes of its connections, too: who has asked is
// not closed for somebody who is silent.
func TestBelowTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	g := gate.New(server.Listener, gate.Config{Limit: 2, Logger: slog.New(slog.DiscardHandler)})
	server.Listener = g
	g.Attach(server.Config)
	server.StartTLS()
	defer server.Close()
	ask := func() {
		t.Helper()
		res, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	var silent [2]net.Conn
	for i := range silent {
		var err error
		if silent[i], err = net.Dial("tcp", server.Listener.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer silent[i].Close()
	}
	if n, err := silent[0].Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the first silent connection was not closed: %d, %v", n, err)
	}
	ask()
	if c := g.Counts(); c != (gate.Counts{Open: 2, Entered: 3, Cut: 1}) {
		t.Errorf("counted %+v: who has asked lost its connection", c)
	}
}
