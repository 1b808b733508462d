package coordinator_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// running is a node that runs until it is killed or ends by itself.
type running struct {
	*coordinator.Coordinator
	cfg  coordinator.Config
	kill context.CancelFunc
	done chan error
}

func start(t *testing.T, cfg coordinator.Config) *running {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	c, err := coordinator.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Coordinator: c, cfg: cfg, done: make(chan error, 1)}
	r.run(t)
	return r
}

func (r *running) run(t *testing.T) {
	ctx, kill := context.WithCancel(t.Context())
	r.kill = kill
	go func() { r.done <- r.Run(ctx) }()
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.kill()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// members waits until a node has heard that these are the members.
func (r *running) members(t *testing.T, want ...task.NodeID) {
	t.Helper()
	err := changes(r.Coordinator, func(s *state.State) bool {
		var got []task.NodeID
		s.Members(func(m *state.Member) {
			if !m.Joining {
				got = append(got, m.Node)
			}
		})
		slices.Sort(got)
		return slices.Equal(got, want)
	}, r.done)
	if err != nil {
		t.Fatal(err)
	}
}

func config(t *testing.T, name task.NodeID) coordinator.Config {
	t.Helper()
	return coordinator.Config{Dir: t.TempDir(), Name: name, Listen: address(t), Raft: address(t)}
}

// A new node at the addresses of a lost one takes its place, and the lost one,
// found again, does not come back.
func TestReplacedByANodeAtTheSameAddress(t *testing.T) {
	first := config(t, "n1")
	first.Bootstrap = &coordinator.Bootstrap{Anyone: true}
	n1 := start(t, first)
	defer n1.stop(t)
	n1.members(t, "n1")
	join := func(cfg coordinator.Config) coordinator.Config { cfg.Join = n1.Info().URL; return cfg }
	n2 := start(t, join(config(t, "n2")))
	defer n2.stop(t)
	n1.members(t, "n1", "n2")
	n3 := start(t, join(config(t, "n3")))
	n1.members(t, "n1", "n2", "n3")
	n3.stop(t)

	again := join(coordinator.Config{Dir: t.TempDir(), Name: "n4", Listen: n3.cfg.Listen, Raft: n3.cfg.Raft, Logger: n3.cfg.Logger})
	if _, err := coordinator.Open(t.Context(), again); err == nil || !strings.Contains(err.Error(), "--replace n3") {
		t.Fatalf("at the address of n3: got %v, want that --replace n3 is proposed", err)
	}
	again.Replace = "n3"
	n4 := start(t, again)
	defer n4.stop(t)
	for _, n := range []*running{n1, n2, n4} {
		n.members(t, "n1", "n2", "n4")
	}
	voters, err := n1.Voters()
	if err != nil || len(voters) != 3 || voters["n4"] != n3.cfg.Raft {
		t.Errorf("the voters are %v, %v; want n1, n2 and n4", voters, err)
	}

	found := n3.cfg
	found.Listen, found.Raft = address(t), address(t)
	if err := <-start(t, found).done; err == nil || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("the lost node came back: got %v, want that it was removed", err)
	}
}

// Two processes with the same name would both count as one node that has what
// only one of them has.
func TestCopiedFolderDoesNotRun(t *testing.T) {
	cfg := config(t, "n1")
	cfg.Bootstrap = &coordinator.Bootstrap{Anyone: true}
	original := start(t, cfg)
	original.members(t, "n1")
	original.stop(t)
	copied := cfg
	copied.Dir, copied.Listen, copied.Raft = t.TempDir(), address(t), address(t)
	if err := os.CopyFS(copied.Dir, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	original = start(t, cfg)
	defer original.stop(t)
	want := "still runs at " + original.Info().URL
	if err := <-start(t, copied).done; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a copy ran: got %v, want %q", err, want)
	}
}
