package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/internal/freeport"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// fleet is a cluster of real processes on this machine: coordinators and
// volunteers, started through the commands that a person would type, killed
// with SIGKILL, started again.
type fleet struct {
	dir    string // everything is below it
	binary string
	http   *http.Client

	mu           sync.Mutex
	coordinators []*process
	clients      []*process
}

// process is one command that runs, or did.
type process struct {
	name  string
	args  []string
	url   string // of a coordinator
	raft  string // of a coordinator: HOST:PORT for the others
	log   string // file that its output goes to
	trail string // file of a client's acknowledged reports

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// newFleet prepares a folder with a copy of this program: the processes outlive
// a binary that go run removes.
func newFleet(dir string) (*fleet, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program's own file: %w", err)
	}
	f := &fleet{dir: dir, binary: filepath.Join(dir, filepath.Base(self)), http: &http.Client{Timeout: 5 * time.Second}}
	if !strings.Contains(filepath.Base(self), "sheaf") {
		f.binary = filepath.Join(dir, "sheaf"+filepath.Ext(self))
	}
	return f, copyFile(f.binary, self, 0o755)
}

func copyFile(to, from string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// addCoordinators starts n coordinators that form one cluster, with further
// flags for each.
func (f *fleet) addCoordinators(ctx context.Context, n int, flags ...string) error {
	ports, err := freeport.Loopback(2 * n)
	if err != nil {
		return err
	}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		p := &process{name: name, url: fmt.Sprintf("http://127.0.0.1:%d", ports[2*i]), raft: fmt.Sprintf("127.0.0.1:%d", ports[2*i+1])}
		p.args = []string{
			"coordinator", "--data", filepath.Join(f.dir, name), "--name", name,
			"--listen", fmt.Sprintf("127.0.0.1:%d", ports[2*i]), "--raft", p.raft,
		}
		if i == 0 {
			p.args = append(p.args, "--bootstrap")
		} else {
			p.args = append(p.args, "--join", f.coordinators[0].url)
		}
		p.args = append(p.args, flags...)
		f.coordinators = append(f.coordinators, p)
		if err := f.start(p); err != nil {
			return err
		}
		if err := f.waitFor(ctx, 20*time.Second, name+" to be a member", func() bool {
			v, err := f.cluster(p.url)
			return err == nil && v.Leader != "" && len(v.Members) == i+1
		}); err != nil {
			return f.explain(p, err)
		}
	}
	return nil
}

// replaceCoordinator starts a coordinator in the place of one that is gone for
// good, and waits until it has its vote.
func (f *fleet) replaceCoordinator(ctx context.Context, i int, name string) error {
	ports, err := freeport.Loopback(2)
	if err != nil {
		return err
	}
	lost, other := f.coordinators[i], f.coordinators[(i+1)%len(f.coordinators)]
	p := &process{name: name, url: fmt.Sprintf("http://127.0.0.1:%d", ports[0])}
	p.args = []string{
		"coordinator", "--data", filepath.Join(f.dir, name), "--name", name, "--join", other.url, "--replace", lost.name,
		"--listen", fmt.Sprintf("127.0.0.1:%d", ports[0]), "--raft", fmt.Sprintf("127.0.0.1:%d", ports[1]),
	}
	if err := f.start(p); err != nil {
		return err
	}
	f.mu.Lock()
	f.coordinators[i] = p
	f.mu.Unlock()
	err = f.waitFor(ctx, 2*time.Minute, name+" to have its vote", func() bool {
		v, err := f.cluster(other.url)
		if err != nil || v.Leader == "" {
			return !p.running()
		}
		in, out := false, true
		for _, m := range v.Members {
			in, out = in || string(m.Node) == name, out && string(m.Node) != lost.name
		}
		return in && out || !p.running()
	})
	if err == nil && !p.running() {
		err = fmt.Errorf("%s has ended", name)
	}
	if err != nil {
		return f.explain(p, err)
	}
	return nil
}

// submitJob submits a job from a file in the fleet's folder, as a person would.
func (f *fleet) submitJob(ctx context.Context, file, keyFile string) (id task.JobID, err error) {
	last, err := f.command(ctx, "job", "submit", file, "--json", "--server", strings.Join(f.urls(), ","), "--account", keyFile)
	if err != nil {
		return id, err
	}
	var submitted struct {
		Job task.JobID `json:"job"`
	}
	if err := json.Unmarshal(last, &submitted); err != nil {
		return id, fmt.Errorf("job submit answered %q: %w", last, err)
	}
	return submitted.Job, nil
}

// jobSpec reads a job's specification.
func (f *fleet) jobSpec(url string, job task.JobID) (*task.JobSpec, error) {
	res, err := f.http.Get(url + protocol.SpecPath(job))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, protocol.MaxSpec+1))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("specification of job %s: %s: %s", job, res.Status, bytes.TrimSpace(b))
	}
	if err != nil {
		return nil, err
	}
	return protocol.DecodeSpec(b)
}

// addClient starts a volunteer with an account of its own.
func (f *fleet) addClient(name string, flags ...string) (*process, error) {
	dir := filepath.Join(f.dir, name)
	p := &process{name: name, trail: filepath.Join(f.dir, name+".trail")}
	p.args = append([]string{
		"client", "--join", f.coordinators[len(f.clients)%len(f.coordinators)].url, "--data", dir,
		"--account", filepath.Join(dir, "account.key"), "--name", name, "--allow", "all", "--trail", p.trail,
	}, flags...)
	f.clients = append(f.clients, p)
	return p, f.start(p)
}

// start runs a process; its output goes to a file beside its folder.
func (f *fleet) start(p *process) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.log = filepath.Join(f.dir, p.name+".log")
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own copy
	p.cmd = exec.Command(f.binary, p.args...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = log, log, f.dir
	detach(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.done = make(chan struct{})
	cmd, done := p.cmd, p.done
	go func() {
		_ = cmd.Wait() // that it ended is all that matters; why is in its log
		close(done)
	}()
	return nil
}

// running reports whether a process has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends a process with SIGKILL and waits until it is gone.
func (p *process) kill() {
	if p.done == nil || !p.running() {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended meanwhile
	<-p.done
}

// stop ends all processes: kindly, then at once.
func (f *fleet) stop() {
	f.mu.Lock()
	all := append(append([]*process(nil), f.clients...), f.coordinators...)
	f.mu.Unlock()
	for _, group := range [][]*process{all[:len(f.clients)], all[len(f.clients):]} {
		for _, p := range group {
			if p.done != nil && p.running() {
				interrupt(p.cmd.Process)
			}
		}
		late := time.After(5 * time.Second)
		for _, p := range group {
			if p.done == nil {
				continue
			}
			select {
			case <-p.done:
			case <-late:
				p.kill()
			}
		}
	}
}

// pids are the numbers of all processes that run.
func (f *fleet) pids() string {
	var b strings.Builder
	for _, p := range append(append([]*process(nil), f.clients...), f.coordinators...) {
		if p.running() {
			b.WriteString(strconv.Itoa(p.cmd.Process.Pid) + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

// waitFor waits until something holds, looking often.
func (f *fleet) waitFor(ctx context.Context, limit time.Duration, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("waited %s for %s", durationText(limit), what))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// explain adds the end of a process's log to an error about it.
func (f *fleet) explain(p *process, err error) error {
	b, readErr := os.ReadFile(p.log)
	if readErr != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return fmt.Errorf("%w; the last lines of %s:\n%s", err, p.log, strings.Join(lines[max(0, len(lines)-8):], "\n"))
}

// getJSON reads a view from one coordinator.
func (f *fleet) getJSON(url, path string, into any) error {
	res, err := f.http.Get(url + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s%s: %s", url, path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

func (f *fleet) cluster(url string) (v protocol.ClusterView, err error) {
	err = f.getJSON(url, protocol.PathCluster, &v)
	return v, err
}

// any reads a view from the first coordinator that answers.
func (f *fleet) any(path string, into any) (err error) {
	for _, p := range f.coordinators {
		if err = f.getJSON(p.url, path, into); err == nil {
			return nil
		}
	}
	return err
}

// leader is the coordinator that leads and serves, or nil.
func (f *fleet) leader() *process {
	for _, p := range f.coordinators {
		var v protocol.NodeView
		if p.running() && f.getJSON(p.url, protocol.PathNode, &v) == nil && v.Serving {
			return p
		}
	}
	return nil
}

// urls are the addresses of all coordinators.
func (f *fleet) urls() []string {
	var urls []string
	for _, p := range f.coordinators {
		urls = append(urls, p.url)
	}
	return urls
}

// sameState waits until all coordinators have applied the same entries, and
// reports whether their digests are equal (R3). Nothing may be going on.
func (f *fleet) sameState(ctx context.Context) (equal bool, digest task.Digest, err error) {
	err = f.waitFor(ctx, 20*time.Second, "all coordinators to come to the same entry", func() bool {
		seen := map[uint64]task.Digest{}
		equal = true
		for _, p := range f.coordinators {
			var v protocol.DigestView
			if f.getJSON(p.url, protocol.PathDigest, &v) != nil {
				return false
			}
			if other, ok := seen[v.Index]; ok && other != v.Digest {
				equal = false
				return true
			}
			seen[v.Index], digest = v.Digest, v.Digest
		}
		return len(seen) == 1
	})
	return equal, digest, err
}

// command runs this program to its end, as a person would, and returns the
// last line of what it printed.
func (f *fleet) command(ctx context.Context, args ...string) (last []byte, err error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, f.binary, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, f.dir
	err = cmd.Run()
	for s := bufio.NewScanner(&out); s.Scan(); {
		if len(s.Bytes()) > 0 {
			last = bytes.Clone(s.Bytes())
		}
	}
	if err != nil {
		err = fmt.Errorf("sheaf %s: %w: %s%s", strings.Join(args, " "), err, last, bytes.TrimSpace(errs.Bytes()))
	}
	return last, err
}
