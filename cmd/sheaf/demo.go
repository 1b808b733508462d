package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

type demoCommand struct {
	Keep bool   `help:"Leave the cluster running afterwards, and say how to join it."`
	Dir  string `help:"Folder for everything; default: a temporary one, removed at the end." placeholder:"DIR" type:"path"`
}

// Help is printed below the flags.
func (*demoCommand) Help() string {
	return `Example:

    sheaf demo

It starts three coordinators and five volunteers, each a process of its own on this machine, through the same commands that you would type. One volunteer lies about half of its tasks. One is killed in the middle of a task and does not come back. The job is real: it trains small neural networks on handwritten digits, a grid of settings, and ranks them. In the middle the leading coordinator is killed with SIGKILL. At the end every result is recomputed here and compared.

Exit code 0 only if everything held; otherwise 3.`
}

// The volunteers of the demo. Their order decides who lies and who is lost.
var demoVolunteers = []string{"ash", "birch", "cedar", "elm", "fir"}

const (
	demoLiar = "cedar" // returns wrong results for half of its tasks
	demoLost = "fir"   // is killed in the middle of a task, for good
)

// demoResult is the last line of --json.
type demoResult struct {
	OK            bool        `json:"ok"`
	Tasks         uint64      `json:"tasks"`
	Attempts      uint64      `json:"attempts"`
	WrongReturned uint64      `json:"wrong_returned"`
	WrongAccepted int         `json:"wrong_accepted"` // found by recomputing every task here
	LiarsCaught   []string    `json:"liars_caught"`
	LeaderKilled  string      `json:"leader_killed"`
	LeaderlessMS  int64       `json:"leaderless_ms"`
	VolunteerLost string      `json:"volunteer_lost"`
	ReportsLost   int         `json:"reports_lost"`
	CreditedTwice int         `json:"credited_twice"`
	StatesEqual   bool        `json:"states_equal"`
	Verified      bool        `json:"verified"`
	BestAccuracy  float64     `json:"best_accuracy"`
	Best          []string    `json:"best"` // the five best settings, as the reduction ranked them
	Seconds       float64     `json:"seconds"`
	Job           task.JobID  `json:"job"`
	Root          task.Digest `json:"root"`
	Problems      []string    `json:"problems,omitempty"`
	Dir           string      `json:"dir,omitempty"`
}

// demo is one run of the demo.
type demo struct {
	*app
	*fleet
	screen *demoScreen
	result demoResult
	began  time.Time
}

// Run runs the demo.
func (c *demoCommand) Run(a *app) error {
	dir, remove, err := c.folder()
	if err != nil {
		return err
	}
	f, err := newFleet(dir)
	if err != nil {
		if remove {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return err
	}
	d := &demo{app: a, fleet: f, screen: newDemoScreen(a), began: time.Now()}
	keep := c.Keep
	defer func() {
		if keep {
			return
		}
		d.stop()
		if remove {
			if err := os.RemoveAll(dir); err != nil {
				fmt.Fprintf(a.stderr, "sheaf: %v\n", err)
			}
		}
	}()
	if err := d.story(a.ctx); err != nil {
		keep = false
		d.screen.end()
		if a.ctx.Err() != nil {
			return a.ctx.Err()
		}
		return err
	}
	d.report()
	if keep {
		d.result.Dir = dir
		if err := d.bringBack(); err != nil {
			return err
		}
		d.sayHowToJoin()
	}
	if a.json {
		a.print(d.result)
	}
	if !d.result.OK {
		return failure{code: exitInvalid} // it was told already
	}
	return nil
}

// folder is where everything goes, and whether to remove it.
func (c *demoCommand) folder() (dir string, remove bool, err error) {
	if c.Dir == "" {
		dir, err = os.MkdirTemp("", "sheaf-demo-")
		return dir, !c.Keep, err
	}
	if entries, err := os.ReadDir(c.Dir); err == nil && len(entries) > 0 {
		return "", false, fmt.Errorf("the folder %s is not empty; give another one with --dir", c.Dir)
	}
	return c.Dir, false, os.MkdirAll(c.Dir, 0o755)
}

// story is what happens, in order.
func (d *demo) story(ctx context.Context) error {
	if err := d.startEverything(ctx); err != nil {
		return err
	}
	if err := d.submitJob(ctx); err != nil {
		return err
	}
	if err := d.loseVolunteer(ctx); err != nil {
		return err
	}
	if err := d.loseLeader(ctx); err != nil {
		return err
	}
	if err := d.await(ctx, func(s jobStanding) bool { return s.State != "running" }); err != nil {
		return err
	}
	d.screen.end()
	return d.check(ctx)
}

func (d *demo) startEverything(ctx context.Context) error {
	d.screen.event("Starting three coordinators")
	if err := d.addCoordinators(ctx, 3); err != nil {
		return err
	}
	lead := d.leader()
	if lead == nil {
		return errors.New("the cluster has no leader")
	}
	d.screen.event("The cluster stands: n1, n2, n3; %s leads. Status page: %s", lead.name, d.coordinators[0].url)
	for _, name := range demoVolunteers {
		flags := []string{"--cores", "1"}
		if name == demoLiar {
			flags = append(flags, "--lie", "50")
		}
		if _, err := d.addClient(name, flags...); err != nil {
			return err
		}
	}
	if err := d.waitFor(ctx, 30*time.Second, "five volunteers to enrol", func() bool {
		v, err := d.cluster(d.coordinators[0].url)
		return err == nil && v.Hosts == len(demoVolunteers)
	}); err != nil {
		return d.explain(d.clients[0], err)
	}
	d.screen.event("Five volunteers have joined: ash, birch, cedar, elm and fir. Cedar will lie about half of its tasks")
	return nil
}

func (d *demo) submitJob(ctx context.Context) error {
	if err := os.CopyFS(filepath.Join(d.dir, "examples"), examples.Files()); err != nil {
		return fmt.Errorf("writing the example: %w", err)
	}
	if err := shortenDeadline(filepath.Join(d.dir, "examples", "digits", publisher.JobFileName)); err != nil {
		return err
	}
	last, err := d.command(ctx, "job", "submit", filepath.Join(d.dir, "examples", "digits"), "--json",
		"--server", d.coordinators[1].url, "--account", d.publisherKey())
	if err != nil {
		return err
	}
	var submitted struct {
		Job   task.JobID `json:"job"`
		Tasks uint64     `json:"tasks"`
	}
	if err := json.Unmarshal(last, &submitted); err != nil {
		return fmt.Errorf("job submit answered %q: %w", last, err)
	}
	d.result.Job, d.result.Tasks = submitted.Job, submitted.Tasks
	d.screen.event("Submitted the job digits: %d neural networks to train, each by two volunteers", submitted.Tasks)
	return nil
}

// shortenDeadline lets a lost volunteer's tasks go elsewhere within seconds:
// the example gives volunteers half an hour, which nobody wants to watch.
func shortenDeadline(jobFile string) error {
	b, err := os.ReadFile(jobFile)
	if err != nil {
		return err
	}
	limits := regexp.MustCompile(`wall: \w+, deadline: \w+`)
	if !limits.Match(b) {
		return fmt.Errorf("%s: the limits are not where the demo looks for them", jobFile)
	}
	return os.WriteFile(jobFile, limits.ReplaceAll(b, []byte("wall: 12s, deadline: 12s")), 0o644)
}

func (d *demo) publisherKey() string { return filepath.Join(d.dir, "publisher.key") }

// loseVolunteer kills a volunteer while a child process of its computes.
func (d *demo) loseVolunteer(ctx context.Context) error {
	var lost *process
	for _, p := range d.clients {
		if p.name == demoLost {
			lost = p
		}
	}
	if err := d.await(ctx, func(s jobStanding) bool { return s.Returned >= d.result.Tasks/6 }); err != nil {
		return err
	}
	busy := func() bool { return childRuns(lost.cmd.Process.Pid) }
	if err := d.waitFor(ctx, 20*time.Second, demoLost+" to be in the middle of a task", busy); err != nil {
		return err
	}
	lost.kill()
	d.result.VolunteerLost = demoLost
	d.screen.event("Killed the volunteer %s in the middle of a task; it does not come back", demoLost)
	return nil
}

// loseLeader kills the leading coordinator, measures how long the cluster is
// without one, and starts it again as a supervisor would.
func (d *demo) loseLeader(ctx context.Context) error {
	if err := d.await(ctx, func(s jobStanding) bool { return s.Accepted >= d.result.Tasks/3 }); err != nil {
		return err
	}
	lead := d.leader()
	if lead == nil {
		return errors.New("the cluster has no leader")
	}
	lead.kill()
	killed := time.Now()
	d.result.LeaderKilled = lead.name
	d.screen.event("Killed the leading coordinator %s with SIGKILL", lead.name)
	var next *process
	if err := d.waitFor(ctx, 30*time.Second, "another coordinator to lead", func() bool {
		next = d.leader()
		return next != nil
	}); err != nil {
		return err
	}
	leaderless := time.Since(killed)
	d.result.LeaderlessMS = leaderless.Milliseconds()
	d.screen.event("%s leads after %s", next.name, durationText(leaderless))
	if err := d.start(lead); err != nil {
		return err
	}
	d.screen.event("%s was started again and catches up", lead.name)
	return nil
}

// childRuns reports whether a process has a child. Where that cannot be known
// any moment is as good as another.
func childRuns(pid int) bool {
	if runtime.GOOS != "linux" {
		return true
	}
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return true
	}
	for _, file := range children {
		if b, err := os.ReadFile(file); err == nil && len(b) > 0 {
			return true
		}
	}
	return false
}

// bringBack starts the honest volunteers again, which were stopped to compare
// the coordinators in peace.
func (d *demo) bringBack() error {
	for _, p := range d.clients {
		if p.name != demoLiar && p.name != demoLost {
			if err := d.start(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *demo) sayHowToJoin() {
	url := d.coordinators[0].url
	d.say("")
	d.say("The cluster goes on, with ash, birch and elm. Everything is in %s.", d.dir)
	d.say("  Status page:   %s", url)
	d.say("  Volunteer:     sheaf client --join %s --allow all", url)
	d.say("  Submit a job:  sheaf job submit %s --server %s --watch", filepath.Join(d.dir, "examples", "primes"), url)
	d.say("  End it with:   kill %s", d.pids())
}
