package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A profile shows what is in memory: nobody on another machine may take one.
func TestDebugAddressIsOfThisMachine(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "localhost", "host.example:6060", "127.0.0.1"} {
		var wrong failure
		if d, err := newDebugServer(address); !errors.As(err, &wrong) || wrong.code != exitUsage {
			t.Errorf("%q: got %v, %v; want a usage error", address, d, err)
		}
	}
	if d, err := newDebugServer(""); d != nil || err != nil {
		t.Errorf("no address: got %v, %v; want none", d, err)
	}
}

func TestDebugServerAnswersBesideANode(t *testing.T) {
	d, err := newDebugServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := errors.New("the node ended")
	err = d.beside(t.Context(), func(context.Context) error {
		res, err := http.Get("http://" + d.listener.Addr().String() + "/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if b, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(b), "# HeapAlloc = ") {
			t.Errorf("the heap's profile does not say how large it is (%v)", err)
		}
		return ended
	})
	if !errors.Is(err, ended) {
		t.Errorf("got %v, want %v", err, ended)
	}
}

// What misses is said, in JSON as in the table.
func TestStateResultSaysWhatMisses(t *testing.T) {
	var out strings.Builder
	s := &stateBench{app: &app{stdout: &out, json: true}}
	s.result = stateResult{SubmitMillis: 100, SubmitGrowth: 64.1, BytesPerLive: 192, Stall: 61, Restart: 5, Growth: 33, Tenfold: 1.11, Missed: []string{}}
	s.report()
	want := `"missed":["submit_growth_kb","snapshot_stall_ms","growth_mb_after_5m","tenfold_ratio"]`
	if !strings.Contains(out.String(), want) {
		t.Errorf("got %s, want it to have %s", out.String(), want)
	}
}
