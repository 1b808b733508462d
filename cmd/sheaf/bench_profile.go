package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
)

// profile begins CPU profiles in a folder: of this program by itself, of the
// coordinators by perf where it is installed. The result ends them. With no
// folder it does nothing.
func (b *loadBench) profile(ctx context.Context, dir string) (stop func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	own, err := os.Create(filepath.Join(dir, "load.pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(own); err != nil {
		return nil, errors.Join(err, own.Close())
	}
	records, err := b.perf(ctx, dir)
	return func() error {
		pprof.StopCPUProfile()
		for _, r := range records {
			_ = r.Process.Signal(os.Interrupt) // it then writes what it has
			_ = r.Wait()                       // which perf reports as a failure
		}
		return own.Close()
	}, err
}

// perf records each coordinator's CPU.
func (b *loadBench) perf(ctx context.Context, dir string) (records []*exec.Cmd, err error) {
	path, err := exec.LookPath("perf")
	if err != nil {
		b.say("perf is not installed: the coordinators are not profiled")
		return nil, nil
	}
	for _, p := range b.coordinators {
		out := filepath.Join(dir, p.name+".perf")
		cmd := exec.CommandContext(ctx, path, "record", "-q", "-F", "199", "-g", "-o", out, "-p", fmt.Sprint(p.cmd.Process.Pid))
		if err := cmd.Start(); err != nil {
			return records, err
		}
		records = append(records, cmd)
	}
	return records, nil
}
