package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"golang.org/x/sync/errgroup"
)

// debugServer answers Go's profiler, for whoever is on this machine.
type debugServer struct {
	listener net.Listener
	server   *http.Server
}

// newDebugServer listens on an address, which must be one of this machine
// alone: a profile shows what is in memory, and taking one costs.
// With no address there is none, and the result is nil.
func newDebugServer(address string) (*debugServer, error) {
	if address == "" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, failure{fmt.Errorf("--debug-addr %q: want HOST:PORT, such as 127.0.0.1:6060", address), exitUsage}
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, failure{fmt.Errorf("--debug-addr %q: profiles show what is in memory, so only an address of this machine is allowed, such as 127.0.0.1:6060", address), exitUsage}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for profilers on %s: %w; choose another address with --debug-addr", address, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &debugServer{listener: l, server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}, nil
}

// beside answers while run runs.
func (d *debugServer) beside(ctx context.Context, run func(context.Context) error) error {
	if d == nil {
		return run(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := d.server.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("profiler: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		defer d.server.Close()
		return run(ctx)
	})
	return g.Wait()
}
