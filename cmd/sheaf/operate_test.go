package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client/identity"
	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/coordinator/backup"
	"github.com/sheafgrid/sheaf/internal/freeport"
	"github.com/sheafgrid/sheaf/protocol"
)

// loaded is a cluster of three real processes with simulated hosts that compute.
func loaded(t *testing.T, replicate int) *loadBench {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	a := &app{ctx: t.Context(), stdout: io.Discard, stderr: io.Discard, json: true}
	b, done, err := newLoadBench(a, loadFlags{Nodes: 3, Replicate: replicate, Hosts: 32, Dir: t.TempDir()}, 128)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	// By that name the copy of this test is the program.
	copied := b.binary
	b.binary = filepath.Join(b.dir, "sheaf")
	if err := os.Rename(copied, b.binary); err != nil {
		t.Fatal(err)
	}
	if err := b.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// compute lets the hosts go on until stop is called.
func compute(t *testing.T, b *loadBench) (stop func()) {
	t.Helper()
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- b.load.Run(t.Context(), 0, end) }()
	return func() {
		close(end)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

// sealedChunks waits until so many chunks of the job are sealed.
func sealedChunks(t *testing.T, b *loadBench, n uint64) {
	t.Helper()
	var j protocol.JobView
	if err := b.waitFor(t.Context(), time.Minute, "chunks to be sealed", func() bool {
		return b.any(protocol.JobPath(b.job), &j) == nil && j.Levels[0].Sealed >= n*4096
	}); err != nil {
		t.Fatal(err)
	}
}

// checked runs sheaf operator fsck.
func checked(t *testing.T, b *loadBench, path string) (ok bool, v struct {
	Digest  string   `json:"state_digest"`
	Index   uint64   `json:"index"`
	Missing int      `json:"missing"`
	Damage  []string `json:"damage"`
	Error   string   `json:"error"`
},
) {
	t.Helper()
	last, err := b.command(t.Context(), "operator", "fsck", path, "--json")
	if e := json.Unmarshal(last, &v); e != nil || v.Error != "" {
		t.Fatalf("fsck %s: %s, %v", path, last, err)
	}
	return err == nil, v
}

// Under as much load as the cluster takes, chunks are sealed, and small outputs
// packed and dropped, all the time while a backup is taken.
func TestBackupUnderLoadIsWhole(t *testing.T) {
	b := loaded(t, 2)
	stop := compute(t, b)
	sealedChunks(t, b, 3)
	operator := filepath.Join(b.dir, "n1", "operator.key")
	before := b.load.Counts().Accepted
	last, err := b.command(t.Context(), "operator", "backup", "all.backup", "--json", "--account", operator, "--server", strings.Join(b.urls(), ","))
	if err != nil {
		t.Fatal(err)
	}
	during := b.load.Counts().Accepted - before
	stop()
	t.Logf("%s", last)
	t.Logf("%d results were accepted meanwhile", during)
	if during < 1000 {
		t.Errorf("%d results were accepted while the backup was taken: that is no load", during)
	}
	if _, err := b.command(t.Context(), "operator", "restore", "all.backup", "--data", "r", "--fork", "--json"); err != nil {
		t.Fatal(err)
	}
	if ok, v := checked(t, b, "r"); !ok || v.Missing > 0 {
		t.Errorf("the restored folder: %+v", v)
	}
}

// flipIn changes one bit in the middle of what is written in a file.
func flipIn(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := len(bytes.TrimRight(b, "\x00"))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{b[n/2] ^ 1}, int64(n/2)); err != nil {
		t.Fatal(err)
	}
}

// filesIn are the files of a data folder that a pattern names.
func filesIn(t *testing.T, b *loadBench, patterns ...string) (all []string) {
	t.Helper()
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(b.dir, filepath.FromSlash(p)))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", p, found, err)
		}
		all = append(all, found...)
	}
	return all
}

// One bit that flipped in a program, a sheaf, a pack or a segment is named with
// its file, and repaired from a peer when the blob is read. One in the log is
// named, the node does not start with it, and another takes its place.
func TestFlippedBitsAreNamedAndRepaired(t *testing.T) {
	b := loaded(t, 1) // else an output stands in the segments twice, and one is enough
	stop := compute(t, b)
	sealedChunks(t, b, 2)
	stop()
	if equal, _, err := b.sameState(t.Context()); err != nil || !equal {
		t.Fatalf("equal %v, %v", equal, err)
	}
	lost, worn := b.coordinators[1], b.coordinators[2]
	if lost == b.leader() || worn == b.leader() {
		t.Log("the leader is one of them; the others elect another")
	}
	interruptAndWait(worn)
	ok, healthy := checked(t, b, worn.name)
	if !ok {
		t.Fatalf("an undamaged folder: %+v", healthy)
	}

	flipped := filesIn(t, b, worn.name+"/blobs/*/*.blob", worn.name+"/outputs/*/*.blob", worn.name+"/segments/*.segment")
	for _, path := range flipped {
		flipIn(t, path)
	}
	if ok, v := checked(t, b, worn.name); ok || len(v.Damage) < len(flipped) {
		t.Fatalf("%d files were damaged, fsck says %v, %+v", len(flipped), ok, v)
	} else {
		for _, path := range flipped {
			if !strings.Contains(strings.Join(v.Damage, "\n"), path) {
				t.Errorf("%s is damaged and not named in %q", path, v.Damage)
			}
		}
	}
	if err := b.start(worn); err != nil {
		t.Fatal(err)
	}
	readAllThrough(t, b, worn)
	packedLeaves(t, b, flipped)
	interruptAndWait(worn)
	if ok, v := checked(t, b, worn.name); !ok {
		t.Errorf("after everything was read there: %q", v.Damage)
	}
	if err := b.start(worn); err != nil {
		t.Fatal(err)
	}
	replaceDamaged(t, b, lost)
}

// packedLeaves waits until outputs that are in packs have left the files in which
// they came: nobody reads them there, so nothing repairs them. A file in which most
// outputs are not packed yet stays.
func packedLeaves(t *testing.T, b *loadBench, files []string) {
	t.Helper()
	if err := b.waitFor(t.Context(), 15*time.Second, "files of packed outputs to go", func() bool {
		return !slices.ContainsFunc(files, func(path string) bool {
			_, err := os.Stat(path)
			return err == nil && strings.HasSuffix(path, ".segment")
		})
	}); err != nil {
		t.Log(err)
	}
}

func interruptAndWait(p *process) {
	interrupt(p.cmd.Process)
	<-p.done
}

// readAllThrough reads everything that the cluster needs through one coordinator,
// as a backup does.
func readAllThrough(t *testing.T, b *loadBench, p *process) {
	t.Helper()
	key, err := identity.Load(filepath.Join(b.dir, "n1", "operator.key"), identity.Account)
	if err != nil {
		t.Fatal(err)
	}
	r, err := remote.Open(remote.Config{
		URLs: []string{p.url}, Patience: time.Minute, Random: newRandom(), Logger: slog.New(slog.DiscardHandler), Transport: onlyTo{p.url},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := (&serverFlags{Timeout: time.Minute}).find(&app{ctx: t.Context(), stderr: io.Discard}, r); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Take(t.Context(), operatorSource{&session{remote: r, key: key}}, filepath.Join(b.dir, "through.backup"), nil); err != nil {
		t.Fatal(err)
	}
}

// onlyTo reaches one coordinator and nobody else.
type onlyTo struct{ url string }

// RoundTrip sends a request, if it is for that coordinator.
func (o onlyTo) RoundTrip(r *http.Request) (*http.Response, error) {
	if "http://"+r.URL.Host != o.url {
		return nil, fmt.Errorf("dial %s: connection refused", r.URL.Host)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// replaceDamaged damages a coordinator's log and lets another take its place.
func replaceDamaged(t *testing.T, b *loadBench, p *process) {
	t.Helper()
	p.kill()
	path := filesIn(t, b, p.name+"/raft/log/*.wal")[0]
	flipIn(t, path)
	if ok, v := checked(t, b, p.name); ok || !strings.Contains(strings.Join(v.Damage, "\n"), path) {
		t.Errorf("%s is damaged, fsck says %v, %q", path, ok, v.Damage)
	}
	if err := b.start(p); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatal("it runs on a damaged log")
	}
	if words := lastWords(p.log); !strings.Contains(words, path) || !strings.Contains(words, "damaged") {
		t.Errorf("it ended with %q, want that %s is damaged", words, path)
	}
	ports, err := freeport.Loopback(2)
	if err != nil {
		t.Fatal(err)
	}
	next := &process{name: "n4", url: fmt.Sprintf("http://127.0.0.1:%d", ports[0])}
	next.args = []string{
		"coordinator", "--data", filepath.Join(b.dir, "n4"), "--name", "n4", "--listen", fmt.Sprintf("127.0.0.1:%d", ports[0]),
		"--raft", fmt.Sprintf("127.0.0.1:%d", ports[1]), "--join", b.coordinators[0].url, "--replace", p.name,
	}
	b.coordinators[1] = next
	if err := b.start(next); err != nil {
		t.Fatal(err)
	}
	if err := b.waitFor(t.Context(), time.Minute, "n4 to be a member", func() bool {
		v, err := b.fleet.cluster(next.url)
		return err == nil && len(v.Members) == 3 && strings.Contains(fmt.Sprint(v.Members), "n4")
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if equal, _, err := b.sameState(ctx); err != nil || !equal {
		t.Errorf("the states are equal: %v, %v", equal, err)
	}
}

// Hosts that went on after the backup, and hold attempts that it does not know,
// work on for the cluster that goes on from it: they are told what is gone, and
// every invariant of the ledger holds (C1).
func TestHostsWorkOnAfterARestore(t *testing.T) {
	b := loaded(t, 2)
	stop := compute(t, b)
	sealedChunks(t, b, 1)
	operator := filepath.Join(b.dir, "n1", "operator.key")
	if _, err := b.command(t.Context(), "operator", "backup", "all.backup", "--json", "--account", operator, "--server", strings.Join(b.urls(), ",")); err != nil {
		t.Fatal(err)
	}
	since := b.load.Counts().Accepted
	reports := func(more uint64) {
		t.Helper()
		if err := b.waitFor(t.Context(), time.Minute, "reports to be accepted", func() bool { return b.load.Counts().Accepted >= since+more }); err != nil {
			t.Fatal(err)
		}
	}
	reports(20_000)
	first := b.coordinators[0]
	for _, p := range b.coordinators {
		p.kill()
	}
	if _, err := b.command(t.Context(), "operator", "restore", "all.backup", "--data", "r", "--json"); err != nil {
		t.Fatal(err)
	}
	next := &process{name: "r", url: first.url}
	listen := strings.TrimPrefix(first.url, "http://")
	next.args = []string{"coordinator", "--data", filepath.Join(b.dir, "r"), "--listen", listen}
	b.coordinators = []*process{next}
	since = b.load.Counts().Accepted
	if err := b.start(next); err != nil {
		t.Fatal(err)
	}
	reports(20_000)
	stop()
	counts := b.load.Counts()
	t.Logf("%+v", counts)
	if counts.Others["gone"] == 0 {
		t.Errorf("nobody was told that an attempt is gone: %v", counts.Others)
	}
	interruptAndWait(next)
	if ok, v := checked(t, b, "r"); !ok || v.Missing > 0 {
		t.Errorf("afterwards: %+v", v)
	}
}
