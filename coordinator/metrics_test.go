package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/freeport"
)

// startNode runs a real coordinator, alone in its cluster, until it leads and
// its cluster is made.
func startNode(t *testing.T, dir string) *coordinator.Coordinator {
	t.Helper()
	ports, err := freeport.Loopback(2)
	if err != nil {
		t.Fatal(err)
	}
	c, err := coordinator.Open(t.Context(), coordinator.Config{
		Dir: dir, Listen: fmt.Sprintf("127.0.0.1:%d", ports[0]), Raft: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		Bootstrap: &coordinator.Bootstrap{Anyone: true}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the node ended with %v", err)
		}
	})
	limit := time.After(30 * time.Second)
	for made := false; !made || !c.Status().Serving; {
		changed := c.Changed()
		c.State(func(s *state.State) { made = !s.Cluster().ID.IsZero() })
		if made && c.Status().Serving {
			break
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatal("the node does not lead after 30 s")
		}
	}
	return c
}

// ask asks a node as somebody at an address.
func ask(c *coordinator.Coordinator, path, from string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = from
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.Handler().ServeHTTP(w, r)
	return w
}

const here, elsewhere = "127.0.0.1:40000", "192.0.2.7:40000"

var sample = regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})? (-?[0-9.]+(e[+-][0-9]+)?|\+Inf|NaN)$`)

// metricNames checks that an answer is in Prometheus' format and returns the
// names of its series.
func metricNames(t *testing.T, text string) map[string]bool {
	t.Helper()
	names, typed, seen := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ := strings.Cut(rest, " ")
			if typed[name] {
				t.Errorf("metric %s is described twice", name)
			}
			typed[name] = true
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("%q is no sample", line)
			continue
		}
		if seen[m[1]+m[2]] {
			t.Errorf("series %s%s is there twice", m[1], m[2])
		}
		seen[m[1]+m[2]], names[m[1]] = true, true
	}
	return names
}

// Everything that the dashboard and the alerts name is there.
func TestDashboardsNameMetricsThatExist(t *testing.T) {
	c := startNode(t, t.TempDir())
	if err := c.Snapshot(); err != nil {
		t.Fatal(err)
	}
	w := ask(c, "/metrics", here)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	fresh := strings.Count(w.Body.String(), "\n")
	names := metricNames(t, w.Body.String())
	if len(names) < 50 {
		t.Errorf("%d metrics: %v", len(names), names)
	}
	// Strangers make no series, whatever they send.
	for _, path := range []string{"/v1/jobs/nonsense", "/v1/blobs/nonsense", "/metrics?a=b", "/no/such/page"} {
		ask(c, path, elsewhere, "User-Agent", path)
	}
	if got := strings.Count(ask(c, "/metrics", here).Body.String(), "\n"); got != fresh {
		t.Errorf("%d lines after nonsense was asked, %d before", got, fresh)
	}
	named := regexp.MustCompile(`\b(sheaf|go|process)_[a-z_]+`)
	files, used := 0, 0
	err := filepath.WalkDir(filepath.Join("..", "deploy"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" && filepath.Ext(path) != ".yml" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for _, name := range named.FindAllString(string(b), -1) {
			if used++; !names[name] && !names[name+"_count"] {
				t.Errorf("%s names %s, which /metrics does not have", path, name)
			}
		}
		return nil
	})
	if err != nil || files < 3 || used < 50 {
		t.Errorf("looked at %d files and %d names (%v)", files, used, err)
	}
	// What some systems do not say is on Linux, where these files are for.
	for _, name := range []string{"sheaf_disk_free_bytes", "sheaf_segment_bytes", "sheaf_snapshot_age_seconds", "sheaf_collect_failed"} {
		if !names[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// What was reported and judged is nobody's to know before it is released (T3).
func TestMetricsAreForTheOperator(t *testing.T) {
	c := startNode(t, t.TempDir())
	token := c.Info().Metrics
	invitation, err := c.Invite(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name, from string
		header     []string
		want       int
	}{
		{"from this machine", here, nil, 200},
		{"from this machine by IPv6", "[::1]:40000", nil, 200},
		{"from another one", elsewhere, nil, 401},
		{"through a proxy on this machine", here, []string{"X-Forwarded-For", "192.0.2.7"}, 401},
		{"with the token", elsewhere, []string{"Authorization", "Bearer " + token}, 200},
		{"with the token through a proxy", here, []string{"X-Forwarded-For", "192.0.2.7", "Authorization", "Bearer " + token}, 200},
		{"with another token", elsewhere, []string{"Authorization", "Bearer " + strings.Repeat("0", len(token))}, 401},
		{"with the token that lets coordinators join", elsewhere, []string{"Authorization", "Bearer " + invitation}, 401},
		{"with no token", elsewhere, []string{"Authorization", "Bearer "}, 401},
	} {
		if w := ask(c, "/metrics", x.from, x.header...); w.Code != x.want {
			t.Errorf("%s: status %d, want %d: %s", x.name, w.Code, x.want, w.Body)
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	dir := t.TempDir()
	c := startNode(t, dir)
	for _, path := range []string{"/healthz", "/readyz"} {
		if w := ask(c, path, elsewhere); w.Code != 200 {
			t.Errorf("%s of a node that leads: status %d: %s", path, w.Code, w.Body)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".probe*")); err != nil || len(left) > 0 {
		t.Errorf("trying the disk left %v (%v)", left, err)
	}
}

// A node that cannot write to its disk lives, and is not ready.
func TestNotReadyWithoutADisk(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".probe"), 0o700); err != nil { // no file can be written under that name
		t.Fatal(err)
	}
	c := startNode(t, dir)
	w := ask(c, "/readyz", elsewhere)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "data folder cannot be written to") {
		t.Errorf("with a data folder that takes no file: status %d: %s", w.Code, w.Body)
	}
	if w := ask(c, "/healthz", elsewhere); w.Code != 200 {
		t.Errorf("/healthz: status %d", w.Code)
	}
}
