package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// build makes the program, as it is or one version of the cluster ahead.
func build(t *testing.T, name string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	args := append(append([]string{"build", "-o", path}, flags...), ".")
	if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return path
}

// clusterVersion is the cluster's, as a coordinator tells it.
func clusterVersion(b *loadBench, p *process) uint16 {
	v, err := b.fleet.cluster(p.url)
	if err != nil {
		return 0
	}
	return v.Version
}

// upgrade ends a coordinator and starts it again with another program.
func upgrade(t *testing.T, b *loadBench, p *process, program string) {
	t.Helper()
	interruptAndWait(p)
	b.binary = program
	if err := b.start(p); err != nil {
		t.Fatal(err)
	}
	if err := b.untilCaughtUp(t.Context(), p, time.Minute); err != nil {
		t.Fatal(b.explain(p, err))
	}
}

// Machines are upgraded one by one, under load: nothing is lost, old and new
// programs work together, and only when all are new does the cluster use what is
// new. From then on an old program is refused, by a message that says so.
func TestRollingUpgrade(t *testing.T) {
	b := loaded(t, 2)
	next := build(t, "sheaf-next", "-tags", "sheafnext")
	old := b.binary
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- b.load.Run(ctx, 500, end) }()

	upgrade(t, b, b.coordinators[0], next)
	upgrade(t, b, b.coordinators[1], next)
	upgrade(t, b, b.coordinators[1], old) // there is a way back
	upgrade(t, b, b.coordinators[1], next)
	for _, p := range b.coordinators {
		if v := clusterVersion(b, p); v != 1 {
			t.Errorf("%s says that the cluster has version %d, while %s knows no more than 1", p.name, v, b.coordinators[2].name)
		}
	}
	upgrade(t, b, b.coordinators[2], next)
	for _, p := range b.coordinators {
		if err := b.waitFor(ctx, time.Minute, p.name+" to have version 2", func() bool { return clusterVersion(b, p) == 2 }); err != nil {
			t.Fatal(b.explain(p, err))
		}
	}
	close(end)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := b.settle(ctx); err != nil {
		t.Fatal(err)
	}
	if !b.ok() {
		t.Errorf("not everything is accounted for: %+v, %q", b.account, b.problems)
	}
	t.Logf("%+v", b.account)

	late := b.coordinators[0]
	interruptAndWait(late)
	b.binary = old
	if err := b.start(late); err != nil {
		t.Fatal(err)
	}
	select {
	case <-late.done:
	case <-ctx.Done():
		t.Fatal("the old program runs in the new cluster")
	}
	if words := lastWords(late.log); !strings.Contains(words, "version 2, this program knows version 1") && !strings.Contains(words, "knows version 1; install a newer sheaf") && !strings.Contains(words, "which this program does not know") {
		t.Errorf("the old program ended with %q", words)
	} else {
		t.Log(words)
	}
	upgrade(t, b, late, next)
	if equal, _, err := b.sameState(ctx); err != nil || !equal {
		t.Errorf("the states are equal: %v, %v", equal, err)
	}
}
