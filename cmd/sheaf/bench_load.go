package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/client/identity"
	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/loadgen"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// loadFlags describe a cluster and the volunteers that are simulated for it.
type loadFlags struct {
	Nodes     int    `help:"Coordinators." default:"3"`
	Replicate int    `help:"Hosts that each task is given to." default:"2"`
	Hosts     int    `help:"Simulated hosts, each of an account of its own." default:"512"`
	Dir       string `help:"Folder on the disk to be measured; the coordinators' data goes into a folder of its own in it. Default: where the system keeps temporary files." type:"path" placeholder:"DIR"`
}

func (f *loadFlags) check(batch int) error {
	return errors.Join(
		inRange("--nodes", int64(f.Nodes), 1, 9, "coordinators"),
		inRange("--replicate", int64(f.Replicate), 1, task.MaxReplicate, "hosts a task"),
		inRange("--hosts", int64(f.Hosts), int64(f.Replicate), loadgen.MaxHosts, "hosts"),
		inRange("--batch", int64(batch), 1, loadgen.MaxBatch, "tasks an exchange"),
	)
}

// loadBench is a cluster of real coordinators under the load of simulated
// hosts.
type loadBench struct {
	*app
	*fleet
	flags loadFlags
	batch int

	load      *loadgen.Load
	job       task.JobID
	spec      *task.JobSpec
	publisher ed25519.PrivateKey
	cluster   task.ClusterID
	opened    task.Millis // cluster time, when it was
	openedAt  time.Time

	account  accounting
	problems []string
}

// accounting is what became of every task, as the last line of --json says it.
type accounting struct {
	Validated uint64            `json:"validated"` // tasks, in the whole run
	Reports   uint64            `json:"reports"`   // that hosts were told are accepted
	Lost      uint64            `json:"lost"`
	Twice     uint64            `json:"twice"`   // credited twice
	Unknown   uint64            `json:"unknown"` // results that nobody was told were accepted
	Wrong     uint64            `json:"wrong"`   // results that are not what was reported
	Extra     uint64            `json:"extra_attempts"`
	Repeated  uint64            `json:"repeated_requests"`
	Others    map[string]uint64 `json:"other_acks"` // reports that were not accepted
	Verified  int               `json:"verified_outputs"`
	Equal     bool              `json:"states_equal"`
}

// loadTasks is how many tasks the job has: more than can be handed out, in
// whole chunks.
const loadTasks = 244_140 * 4096

// loadJob is the example primes with more tasks than anyone can compute, and
// deadlines that do not pass.
const loadJob = `name: load
project: load
program: examples/primes/count.wasm
args: ["{from}", "{to}"]
split: {range: {from: 0, to: %d, step: 1}}
check: {replicate: %d, max_attempts: 50}
limits: {work: 1G, memory: 4MiB, output: 1KiB, wall: 10m, deadline: 1d}
`

// newLoadBench makes the folder and the cluster. Its second result undoes that.
func newLoadBench(a *app, flags loadFlags, batch int) (*loadBench, func(), error) {
	if err := flags.check(batch); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp(flags.Dir, "sheaf-load-")
	if err != nil {
		return nil, nil, err
	}
	f, err := newFleet(dir)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	b := &loadBench{app: a, fleet: f, flags: flags, batch: batch}
	return b, func() {
		f.stop()
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintf(a.stderr, "sheaf: %v\n", err)
		}
	}, nil
}

// prepare starts the coordinators, submits the job and enrols the hosts.
func (b *loadBench) prepare(ctx context.Context) error {
	b.say("Starting %s and enrolling %s", plural(b.flags.Nodes, "coordinator"), plural(b.flags.Hosts, "simulated host"))
	if err := b.addCoordinators(ctx, b.flags.Nodes); err != nil {
		return err
	}
	if err := b.submit(ctx); err != nil {
		return err
	}
	return b.enrol(ctx)
}

// enrol makes the simulated hosts known to the cluster.
func (b *loadBench) enrol(ctx context.Context) error {
	v, err := b.fleet.cluster(b.coordinators[0].url)
	if err != nil {
		return err
	}
	b.cluster, b.opened, b.openedAt = v.Cluster, v.Time, time.Now()
	cfg := loadgen.Config{
		Cluster: v.Cluster, Opened: v.Time, Hosts: b.flags.Hosts, Batch: b.batch, Replicate: b.flags.Replicate, Random: crand.Reader,
	}
	for _, p := range b.coordinators {
		cfg.Nodes = append(cfg.Nodes, loadgen.Node{Name: task.NodeID(p.name), Address: strings.TrimPrefix(p.url, "http://")})
	}
	if b.load, err = loadgen.New(cfg); err != nil {
		return err
	}
	return b.load.Enrol(ctx)
}

// submit publishes the program and submits the job, as a person would.
func (b *loadBench) submit(ctx context.Context) error {
	if err := os.CopyFS(filepath.Join(b.dir, "examples"), examples.Files()); err != nil {
		return err
	}
	text := fmt.Sprintf(loadJob, loadTasks, b.flags.Replicate)
	if err := os.WriteFile(filepath.Join(b.dir, "job.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	keyFile := filepath.Join(b.dir, "publisher.key")
	var err error
	if b.job, err = b.submitJob(ctx, "job.yaml", keyFile); err != nil {
		return err
	}
	if b.publisher, err = identity.Load(keyFile, identity.Account); err != nil {
		return err
	}
	b.spec, err = b.jobSpec(b.coordinators[0].url, b.job)
	return err
}

// read reads a whole answer of a coordinator.
func (b *loadBench) read(url string, header http.Header) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	res, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, protocol.MaxReply))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, res.Status, bytes.TrimSpace(body))
	}
	return body, err
}

// validated is how many tasks of the job have an accepted result, as its
// publisher may see while it runs.
func (b *loadBench) validated(url string) (uint64, error) {
	path := protocol.JobPath(b.job)
	at := b.opened + task.Millis(time.Since(b.openedAt).Milliseconds())
	h := http.Header{}
	h.Set(protocol.HeaderKey, protocol.PublicKey(b.publisher).String())
	h.Set(protocol.HeaderTime, strconv.FormatInt(int64(at), 10))
	h.Set(protocol.HeaderSignature, protocol.EncodeSignature(protocol.SignRead(b.publisher, b.cluster, path, at)))
	body, err := b.read(url+path, h)
	if err != nil {
		return 0, err
	}
	var v protocol.JobView
	if err := json.Unmarshal(body, &v); err != nil {
		return 0, err
	}
	if v.Progress == nil {
		return 0, fmt.Errorf("job %s: its progress is not shown to its publisher", b.job)
	}
	return v.Progress.Accepted, nil
}

// drainLimit is enough for a chunk of tasks on a very slow disk.
const drainLimit = 10 * time.Minute

// settle drains the load, waits until everything is released, and accounts for
// every task.
func (b *loadBench) settle(ctx context.Context) error {
	b.say("Draining: whole chunks of tasks are released, and everything handed out is reported")
	draining, cancel := context.WithTimeoutCause(ctx, drainLimit, fmt.Errorf("the load could not be drained within %s", durationText(drainLimit)))
	defer cancel()
	tasks, err := b.load.Drain(draining)
	if err != nil {
		return errors.Join(err, context.Cause(draining))
	}
	var job protocol.JobView
	if err := b.waitFor(ctx, time.Minute, "the last chunk to be released", func() bool {
		return b.any(protocol.JobPath(b.job), &job) == nil && job.Levels[0].Released >= tasks
	}); err != nil {
		b.problem("of %d tasks whose results are all in, %d were released: %v", tasks, job.Levels[0].Released, err)
	}
	if err := b.audit(tasks); err != nil {
		return err
	}
	if err := b.verifyOutputs(tasks); err != nil {
		return err
	}
	if _, err := b.command(ctx, "job", "cancel", b.job.String(), "--server", strings.Join(b.urls(), ","), "--account", filepath.Join(b.dir, "publisher.key")); err != nil {
		return err
	}
	b.account.Equal, _, err = b.sameState(ctx)
	if !b.account.Equal {
		b.problem("R3: the coordinators' states differ (%v)", err)
	}
	return nil
}

// audit compares what the hosts were told with what the cluster has.
func (b *loadBench) audit(tasks uint64) error {
	b.say("Accounting for %s", plural(tasks, "task"))
	audit, err := b.load.Audit(func(index uint64) (task.Digest, error) {
		t, err := b.spec.Task(b.job, 0, index, nil)
		return t.Sum(), err
	}, func(from uint64) (page protocol.AttemptPage, err error) {
		// Beyond the last task that was begun there are only empty pages.
		if from >= tasks {
			return protocol.AttemptPage{Done: true}, nil
		}
		err = b.any(protocol.AttemptsPath(b.job, 0, from, protocol.MaxPage), &page)
		return page, err
	})
	if err != nil {
		return err
	}
	var hosts []protocol.HostView
	if err := b.any(protocol.PathHosts, &hosts); err != nil {
		return err
	}
	audit.Compare(hosts)
	if audit.Tasks != tasks {
		b.problem("%d tasks were released, want %d", audit.Tasks, tasks)
	}
	b.problems = append(b.problems, audit.Problems...)
	counts := b.load.Counts()
	b.account = accounting{
		Validated: audit.Valid, Reports: audit.Receipts, Lost: audit.Lost, Twice: audit.Twice, Unknown: audit.Unknown, Wrong: audit.Wrong,
		Extra: audit.Extra, Repeated: counts.Repeated, Others: counts.Others,
	}
	return nil
}

var errNoLeader = errors.New("no coordinator leads")

// outputsVerified is how many outputs are fetched and compared.
const outputsVerified = 1000

// verifyOutputs fetches outputs of tasks drawn at random.
func (b *loadBench) verifyOutputs(tasks uint64) error {
	lead := b.leader()
	if lead == nil {
		return errNoLeader
	}
	url := lead.url
	for range min(outputsVerified, tasks) {
		index := rand.Uint64N(tasks)
		t, err := b.spec.Task(b.job, 0, index, nil)
		if err != nil {
			return err
		}
		want := loadgen.Answer(t.Sum())
		got, err := b.read(url+protocol.OutputPath(b.job, 0, index, 0), nil)
		switch {
		case err != nil:
			b.problem("the output of task %d cannot be fetched: %v", index, err)
		case !bytes.Equal(got, want[:]):
			b.problem("the output of task %d is %q, want %q", index, got, want)
		default:
			b.account.Verified++
		}
	}
	return nil
}

// ok reports whether everything is accounted for.
func (b *loadBench) ok() bool {
	a := &b.account
	return len(b.problems) == 0 && a.Validated > 0 && a.Lost+a.Twice+a.Unknown+a.Wrong == 0 && a.Verified > 0 && a.Equal
}

func (b *loadBench) problem(format string, args ...any) {
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

// sayAccount tells a person what became of every task.
func (b *loadBench) sayAccount() {
	a := &b.account
	b.say("  tasks validated           %d, by %s", a.Validated, plural(a.Reports, "accepted report"))
	b.say("  accepted reports lost     %d", a.Lost)
	b.say("  tasks credited twice      %d", a.Twice)
	b.say("  results not accounted for %d unknown, %d wrong", a.Unknown, a.Wrong)
	b.say("  outputs verified          %d, fetched at random", a.Verified)
	b.say("  coordinators' states      %s", map[bool]string{true: "equal", false: "DIFFERENT"}[a.Equal])
	for _, p := range b.problems {
		b.say("PROBLEM: %s", p)
	}
}
