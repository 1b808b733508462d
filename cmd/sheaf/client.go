package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

type clientCommand struct {
	Join      []string `help:"URL of any of the cluster's coordinators; afterwards it knows the others, and goes on without." placeholder:"URL"`
	Allow     []string `help:"Projects that may compute here, by name, with commas between them, or all. Nothing runs of any other." placeholder:"PROJECT"`
	Account   string   `help:"File of the account's key, made if it is not there; one account may have many machines. Default: ${default}." default:"${accountFile}" type:"path" placeholder:"FILE"`
	Data      string   `help:"Data folder of this machine's client: keys, journal, cache. Default: ${default}." default:"${dataHome}/client" type:"path" placeholder:"DIR"`
	Cores     int      `help:"Tasks at once; 0: half of the processors." default:"0" placeholder:"N"`
	Memory    sizeFlag `help:"Memory that one task may take, in MiB or with a unit, such as 2GiB. Default: 1024." default:"1024" placeholder:"SIZE"`
	Name      string   `help:"Name of this machine and account, shown to others; default: drawn from the keys." placeholder:"NAME"`
	Trail     string   `help:"Add each acknowledged report to this file, as a line of JSON." type:"path" placeholder:"FILE"`
	Verbose   bool     `help:"Log everything that the client does." short:"v"`
	plainFlag `embed:""`

	Lie     int    `hidden:"" help:"Return wrong results for so many of a hundred tasks; for demonstrations on one machine."`
	LieSeed uint64 `hidden:"" default:"1"`
}

// Help is printed below the flags.
func (*clientCommand) Help() string {
	return `Examples:

    sheaf client --join http://127.0.0.1:7710 --allow all
    sheaf client --join http://127.0.0.1:7710 --allow rare-proteins --allow digits --cores 2

Programs run in a sandbox, each in a process of its own at the lowest priority: they see none of your files and no network. Ctrl-C stops them; what was accepted is kept and goes on at the next start. What you allow is said at each start; it is kept nowhere. The first run makes two keys, one for you and one for this machine, and enrols it.`
}

// Run volunteers this machine until it is interrupted.
func (c *clientCommand) Run(a *app) error {
	command, err := childCommand()
	if err != nil {
		return err
	}
	rules, err := c.rules()
	if err != nil {
		return failure{err, exitUsage}
	}
	if err := ownFolder(c.Data, coordinatorMark, "a coordinator"); err != nil {
		return err
	}
	if err := c.checkJoin(); err != nil {
		return failure{err, exitUsage}
	}
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	cluster, err := c.introduce(a, log, rules)
	if err != nil {
		return err
	}
	screen := newClientScreen(a)
	cfg := client.Config{
		Dir: c.Data, URLs: c.Join, PlainHTTP: c.PlainHTTP, AccountKey: c.Account, AccountName: c.Name, HostName: c.Name, Version: version,
		Rules: rules, Sandbox: sandbox.Runner{Command: command}, Random: newRandom(), Logger: log, Observe: screen.event, Trail: c.Trail,
	}
	if c.Lie > 0 {
		cfg.Lie = &client.Lie{Seed: c.LieSeed, Percent: c.Lie}
	}
	agent, err := client.Open(cfg)
	if err != nil {
		if errors.Is(err, client.ErrBadConfig) {
			return failure{err, exitUsage}
		}
		return err
	}
	st := agent.Status()
	if !st.Cluster.IsZero() && !cluster.IsZero() && st.Cluster != cluster {
		return errors.Join(fmt.Errorf("the data folder %s belongs to cluster %s, and %s is another cluster (%s); give it a folder of its own with --data DIR",
			c.Data, st.Cluster, c.Join[0], cluster), agent.Close())
	}
	a.say("This machine is %s, of account %s. Its keys and journal are in %s.", st.Host, st.Account, c.Data)
	g, ctx := errgroup.WithContext(a.ctx)
	ctx, stop := context.WithCancel(ctx)
	g.Go(func() error {
		defer stop()
		return agent.Run(ctx)
	})
	g.Go(func() error { return screen.follow(ctx, agent) })
	err = errors.Join(g.Wait(), agent.Close())
	screen.end()
	if a.ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		a.say("Stopped. What was accepted is kept in %s and goes on at the next start.", c.Data)
		return nil // Ctrl-C is how a volunteer ends it
	}
	return err
}

// checkJoin wants an address the first time.
func (c *clientCommand) checkJoin() error {
	if len(c.Join) > 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(c.Data, clientMark)); err != nil {
		return errors.New("which cluster? Name one of its coordinators with --join URL")
	}
	return nil
}

func (c *clientCommand) rules() (plan.Rules, error) {
	if err := c.Memory.checkMemory(); err != nil {
		return plan.Rules{}, err
	}
	r := plan.Rules{Cores: c.Cores, Memory: uint64(c.Memory)}
	if c.Cores == 0 {
		r.Cores = max(1, runtime.NumCPU()/2)
	}
	for _, p := range c.Allow {
		if p == "all" {
			r.AllowAll = true
		} else {
			r.Allow = append(r.Allow, p)
		}
	}
	return r, r.Validate()
}

// introduce says what this machine will run and for whom, before it does. A
// cluster that does not answer now is no reason not to start: it will.
func (c *clientCommand) introduce(a *app, log *slog.Logger, rules plan.Rules) (cluster task.ClusterID, err error) {
	if len(c.Join) == 0 {
		a.say("It goes on with the cluster that it knows.")
		return cluster, nil
	}
	r, err := remote.Open(remote.Config{URLs: c.Join, PlainHTTP: c.PlainHTTP, Patience: 5 * time.Second, Random: newRandom(), Logger: log})
	if err != nil {
		return cluster, failure{err, exitUsage}
	}
	defer r.Close()
	view, err := r.Cluster(a.ctx)
	switch {
	case errors.Is(err, remote.ErrUnreachable):
		a.say("%v. The client goes on trying.", err)
		return cluster, nil
	case err != nil:
		return cluster, err
	}
	var projects []protocol.ProjectView
	if err := r.GetJSON(a.ctx, protocol.PathProjects, &projects, nil); err != nil {
		return view.Cluster, nil // what there is to run is said by the cluster later
	}
	a.say("Cluster %s.", view.Cluster)
	a.say("It will run, on up to %s at the lowest priority, with up to %s of memory for each task:", plural(rules.Cores, "core"), bytesText(int64(rules.Memory)))
	for _, p := range projects {
		if rules.Allows(p.Name) {
			text := p.Description
			if text == "" {
				text = "no description"
			}
			a.say("    %-20s %s (by %s...)", p.Name, text, p.Owner.String()[:12])
		}
	}
	if rules.AllowAll {
		a.say("    and every project to come, since you allowed all.")
	}
	if !rules.AllowAll && len(rules.Allow) == 0 {
		a.say("    nothing: you have allowed no project. Projects here: %s. Stop it, and allow some with --allow NAME, or every one with --allow all.", projectNames(projects))
	}
	for _, name := range rules.Allow {
		if text := missingProject(name, projects); text != "" {
			a.say("    %s", text)
		}
	}
	return view.Cluster, nil
}

// missingProject says of an allowed project that the cluster does not have it,
// and which one was perhaps meant; "" where it has.
func missingProject(name string, projects []protocol.ProjectView) string {
	var names []string
	for _, p := range projects {
		if p.Name == name {
			return ""
		}
		names = append(names, p.Name)
	}
	text := fmt.Sprintf("and %s, which this cluster does not have yet", name)
	if meant := publisher.Nearest(name, names); meant != "" {
		return text + "; did you mean " + meant + "?"
	}
	return text + "; it has " + projectNames(projects) + "."
}

// projectNames are the names of the first projects, or that there is none.
func projectNames(projects []protocol.ProjectView) string {
	if len(projects) == 0 {
		return "none yet"
	}
	var names []string
	for _, p := range projects[:min(len(projects), 20)] {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// clientScreen shows what the client does: one moving line on a terminal, lines
// elsewhere, objects with --json.
type clientScreen struct {
	app    *app
	width  int
	events chan client.Event
	last   string
}

func newClientScreen(a *app) *clientScreen {
	s := &clientScreen{app: a, events: make(chan client.Event, 256)}
	s.width, _ = a.terminal()
	return s
}

// event takes note of an event; one too many is left out rather than waited
// for.
func (s *clientScreen) event(e client.Event) {
	select {
	case s.events <- e:
	default:
	}
}

// follow shows events as they come, and the state of things every second.
func (s *clientScreen) follow(ctx context.Context, agent *client.Agent) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-s.events:
			s.show(e)
		case <-tick.C:
			s.state(agent.Status())
		}
	}
}

func (s *clientScreen) show(e client.Event) {
	if s.app.json {
		s.app.print(map[string]any{
			"event": e.Kind, "text": e.Text, "project": e.Project, "app": e.App, "job": e.Job, "level": e.Level, "index": e.Index, "ack": e.Ack.String(),
		})
		return
	}
	what := fmt.Sprintf("task %d of %s/%s", e.Index, e.Project, e.App)
	text := ""
	switch e.Kind {
	case client.EventEnrolled:
		text = "Enrolled: the cluster knows this machine."
	case client.EventComputed:
		text = "Computed " + what + "."
	case client.EventFailed:
		text = "No result for " + what + ": " + e.Text
	case client.EventAcknowledged:
		if e.Ack != protocol.AckAccepted {
			text = fmt.Sprintf("The result of %s was not needed: %s.", what, e.Ack)
		}
	case client.EventTrouble, client.EventRefused, client.EventSession:
		text = e.Text
	}
	if text != "" {
		s.clear()
		s.app.say("%s  %s", time.Now().Format("15:04:05"), text)
	}
}

// state draws the moving line, or writes why nothing happens when that changes.
func (s *clientScreen) state(st client.Status) {
	if s.app.json {
		return
	}
	if s.width == 0 {
		if text := st.Reason.Text; text != s.last && st.Reason.Code == plan.CodeNoContact {
			s.app.say("%s  %s", time.Now().Format("15:04:05"), text)
		}
		s.last = st.Reason.Text
		return
	}
	running := 0
	for _, t := range st.Tasks {
		if t.Running > 0 {
			running++
		}
	}
	line := fmt.Sprintf("%s: %s running, %d held; %d computed, %d accepted. %s",
		st.Host, plural(running, "task"), len(st.Tasks), st.Counts.Computed, st.Counts.Acknowledged, st.Reason.Text)
	fmt.Fprintf(s.app.stdout, "\r\x1b[K%s", clipLine(line, s.width))
}

// clear takes back the moving line.
func (s *clientScreen) clear() {
	if s.width > 0 {
		fmt.Fprint(s.app.stdout, "\r\x1b[K")
	}
}

func (s *clientScreen) end() { s.clear() }
