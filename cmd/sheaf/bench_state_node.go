package main

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/client/identity"
	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/internal/freeport"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/internal/usage"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/publisher"
)

// heldEach is how many attempts a simulated host holds where many tasks are
// to be live.
const heldEach = 1024

// stateNode is one real coordinator, alone in its cluster.
type stateNode struct {
	*loadBench
	process *process
	debug   string // where it answers profilers
}

// startNode starts a coordinator in a folder of its own.
func (s *stateBench) startNode(ctx context.Context, hosts, batch int) (*stateNode, func(), error) {
	flags := loadFlags{Nodes: 1, Replicate: 2, Hosts: hosts, Dir: s.flags.Dir}
	b, done, err := newLoadBench(s.app, flags, batch)
	if err != nil {
		return nil, nil, err
	}
	n := &stateNode{loadBench: b}
	port, err := freeport.Loopback(1)
	if err == nil {
		n.debug = fmt.Sprintf("127.0.0.1:%d", port[0])
		err = b.addCoordinators(ctx, 1, "--debug-addr", n.debug)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	n.process = b.coordinators[0]
	return n, done, nil
}

// submitLarge submits the job as its publisher's program would, and says how
// long all of it took: project, program, and the job.
func (n *stateNode) submitLarge(ctx context.Context, tasks uint64) (took time.Duration, err error) {
	if err := os.CopyFS(filepath.Join(n.dir, "examples"), examples.Files()); err != nil {
		return 0, err
	}
	path := filepath.Join(n.dir, "job.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, loadJob, tasks, n.flags.Replicate), 0o644); err != nil {
		return 0, err
	}
	file, err := publisher.Load(path)
	if err != nil {
		return 0, err
	}
	plan, err := file.Plan(ctx)
	if err != nil {
		return 0, err
	}
	f := serverFlags{Server: []string{n.process.url}, Account: filepath.Join(n.dir, "publisher.key"), Timeout: time.Minute}
	if n.publisher, _, err = identity.LoadOrCreate(f.Account, identity.Account, crand.Reader); err != nil {
		return 0, err
	}
	session, err := f.connect(n.app)
	if err != nil {
		return 0, err
	}
	defer session.remote.Close()
	began := time.Now()
	if n.job, err = session.submit(&app{ctx: ctx, stdout: io.Discard, stderr: n.stderr}, plan); err != nil {
		return 0, err
	}
	took = time.Since(began)
	n.spec = &plan.Spec
	return took, nil
}

// heap is the bytes of live objects in the coordinator, after what is dead has
// been collected.
func (n *stateNode) heap() (bytes uint64, err error) {
	var text []byte
	for range 2 { // the second time without what finalizers let go of at the first
		if text, err = n.read("http://"+n.debug+"/debug/pprof/heap?gc=1&debug=1", nil); err != nil {
			return 0, err
		}
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "# HeapAlloc = %d", &bytes); err == nil {
			return bytes, nil
		}
	}
	return 0, errors.New("the coordinator's profile does not say how large its heap is")
}

// node measures a submission, and what finished tasks leave behind.
func (s *stateBench) node(ctx context.Context) error {
	n, done, err := s.startNode(ctx, benchHosts, protocol.MaxWanted)
	if err != nil {
		return err
	}
	defer done()
	took, err := n.submitLarge(ctx, s.flags.Tasks)
	if err != nil {
		return err
	}
	s.result.SubmitMillis = millis(took)
	if err := n.enrol(ctx); err != nil {
		return err
	}
	idle, err := n.heap()
	if err != nil {
		return err
	}
	warm := min(warmTasks, s.flags.Finished)
	if err := n.finish(ctx, warm, s); err != nil {
		return err
	}
	before, err := n.heap()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := n.finish(ctx, warm+s.flags.Finished, s); err != nil {
		return err
	}
	s.result.FinishedPerSec = round(float64(s.flags.Finished)/time.Since(began).Seconds(), 0)
	after, err := n.heap()
	if err != nil {
		return err
	}
	s.result.HeapIdle = megabytes(int64(idle))
	s.result.HeapBefore, s.result.HeapAfter = megabytes(int64(before)), megabytes(int64(after))
	s.result.Growth = round(float64(int64(after-before))/1e6, 2)
	size, err := fsutil.Size(filepath.Join(n.dir, n.process.name, "segments"))
	s.result.OutputsMB = megabytes(size)
	return err
}

// warmTasks are finished before memory is looked at for the first time: what so
// much work at once needs (buffers, caches, records of what is under way) is
// needed again and again, and is not what finished tasks leave behind.
const warmTasks = 300_000

// finish keeps the hosts at work until so many tasks are sealed.
func (n *stateNode) finish(ctx context.Context, tasks uint64, s *stateBench) error {
	show := s.counter(ctx, "tasks sealed", tasks)
	defer s.clear()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- n.load.Run(ctx, 0, stop) }()
	var job protocol.JobView
	err := n.waitFor(ctx, time.Hour, "tasks to be sealed", func() bool {
		select {
		case early := <-ended: // before it was told to
			ended <- early
			return true
		default:
		}
		return n.getJSON(n.process.url, protocol.JobPath(n.job), &job) == nil && show(job.Levels[0].Released) == nil && job.Levels[0].Released >= tasks
	})
	close(stop)
	if err := errors.Join(err, <-ended); err != nil {
		return n.explain(n.process, err)
	}
	return n.sealedBehind(ctx)
}

// sealedBehind waits until what is released is sealed too.
func (n *stateNode) sealedBehind(ctx context.Context) error {
	var job protocol.JobView
	return n.waitFor(ctx, 5*time.Minute, "what is released to be sealed", func() bool {
		return n.getJSON(n.process.url, protocol.JobPath(n.job), &job) == nil && job.Levels[0].Sealed >= job.Levels[0].Released
	})
}

// Restarts of a coordinator with live tasks.
const (
	restarts = 3
	readyIn  = 2 * time.Minute
)

// restart measures how long a killed coordinator with live tasks needs.
func (s *stateBench) restart(ctx context.Context) error {
	hosts := int((2*s.flags.Live + heldEach - 1) / heldEach)
	n, done, err := s.startNode(ctx, max(2, hosts), protocol.MaxWanted)
	if err != nil {
		return err
	}
	defer done()
	if _, err := n.submitLarge(ctx, s.flags.Tasks); err != nil {
		return err
	}
	if err := n.enrol(ctx); err != nil {
		return err
	}
	s.say("  %s take %d attempts", plural(max(2, hosts), "simulated host"), 2*s.flags.Live)
	if err := n.load.Take(ctx, heldEach); err != nil {
		return n.explain(n.process, err)
	}
	s.say("  They report and take others until there is a snapshot, and a log behind it")
	if err := n.untilSnapshot(ctx); err != nil {
		return n.explain(n.process, err)
	}
	from, fromErr := usage.Now()
	own := cpuNow()
	for range restarts {
		spent, err := n.killAndWait(ctx, &s.result)
		if err != nil {
			return err
		}
		own -= spent
	}
	if to, err := usage.Now(); errors.Join(err, fromErr) == nil {
		s.result.OthersCPU = pointer(max(0, usage.BusyPercent(from, to)-usage.PercentOf(cpuNow()-own, from, to)))
	}
	return n.describeRestart(&s.result)
}

// snapshots are the finished snapshots of the coordinator, the newest last.
func (n *stateNode) snapshots() ([]string, error) {
	found, err := filepath.Glob(filepath.Join(n.dir, n.process.name, "raft", "snapshots", "*"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(path string) bool { return strings.HasSuffix(path, ".tmp") }), nil
}

// logBehind is how long a load goes on after the snapshot.
const logBehind = 3 * time.Second

// untilSnapshot keeps the hosts at work until the coordinator has written a
// snapshot, and for a moment more.
func (n *stateNode) untilSnapshot(ctx context.Context) error {
	return n.runLoad(ctx, 0, logBehind, func(ctx context.Context, _ <-chan time.Time) error {
		if err := n.waitFor(ctx, 10*time.Minute, "a snapshot", func() bool {
			found, err := n.snapshots()
			return err == nil && len(found) > 0
		}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(logBehind):
			return nil
		}
	})
}

// killAndWait kills the coordinator, starts it again, and says how long it takes
// from there until it is ready: it leads, and has applied its whole log. The CPU
// time of that says what other programs on this machine do not change.
func (n *stateNode) killAndWait(ctx context.Context, r *stateResult) (spent time.Duration, err error) {
	var before, after protocol.NodeView
	if err := n.getJSON(n.process.url, protocol.PathNode, &before); err != nil {
		return 0, err
	}
	n.process.kill()
	began := time.Now()
	if err := n.fleet.start(n.process); err != nil {
		return 0, err
	}
	if err := n.waitFor(ctx, readyIn, "the coordinator to be ready", func() bool {
		return !n.process.running() || n.getJSON(n.process.url, protocol.PathNode, &after) == nil && after.Serving
	}); err != nil {
		return 0, n.explain(n.process, err)
	}
	took := time.Since(began)
	if !n.process.running() {
		return 0, n.explain(n.process, errors.New("the coordinator ended by itself when it was started again"))
	}
	if after.Applied < before.Applied {
		return 0, fmt.Errorf("the restarted coordinator has entry %d, and had %d", after.Applied, before.Applied)
	}
	r.RestartEach = append(r.RestartEach, round(took.Seconds(), 2))
	r.Restart = highest(r.RestartEach)
	if u, err := usage.Of(n.process.cmd.Process.Pid); err == nil {
		spent = u.CPU
		r.RestartCPU = pointer(max(spent.Seconds(), value(r.RestartCPU)))
	}
	return spent, nil
}

// value is what a pointer points to, or 0.
func value(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

// describeRestart says what the coordinator had to read.
func (n *stateNode) describeRestart(r *stateResult) error {
	var job protocol.JobView
	var node protocol.NodeView
	if err := errors.Join(n.getJSON(n.process.url, protocol.JobPath(n.job), &job), n.getJSON(n.process.url, protocol.PathNode, &node)); err != nil {
		return err
	}
	r.RestartLive = job.Levels[0].Begun - job.Levels[0].Sealed
	found, err := n.snapshots()
	if err != nil || len(found) == 0 {
		return errors.Join(err, errors.New("the coordinator has no snapshot"))
	}
	newest := found[len(found)-1]
	size, err := fsutil.Size(newest)
	r.RestartSnapshot = megabytes(size)
	var term, index uint64
	if _, scanErr := fmt.Sscanf(filepath.Base(newest), "%d-%d-", &term, &index); scanErr == nil {
		r.RestartEntries = node.Applied - index
	}
	return err
}
