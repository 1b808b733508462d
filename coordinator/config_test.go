package coordinator

import (
	"log/slog"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

// What listens on all addresses is reached by peers where clients reach it.
func TestAddressForPeers(t *testing.T) {
	for _, c := range []struct{ listen, raft, advertise, want string }{
		{"10.0.0.1:7710", "", "", "10.0.0.1:8710"},
		{"10.0.0.1:7710", "10.1.0.1:9000", "", "10.1.0.1:9000"},
		{":7710", "", "https://one.example:443", "one.example:8710"},
		{"0.0.0.0:7710", "[::]:9000", "http://[fd00::1]:7710", "[fd00::1]:9000"},
		{"10.0.0.1:7710", ":9000", "", "10.0.0.1:9000"},
	} {
		cfg := Config{Dir: "n1", Listen: c.listen, Raft: c.raft, Advertise: c.advertise, Logger: slog.New(slog.DiscardHandler)}
		if err := cfg.complete(); err != nil || cfg.advertiseRaft != c.want {
			t.Errorf("%+v: got %q, %v; want %q", c, cfg.advertiseRaft, err, c.want)
		}
	}
}

func TestReplaceNeedsJoin(t *testing.T) {
	cfg := Config{Dir: "n4", Listen: "127.0.0.1:7710", Replace: task.NodeID("n3"), Logger: slog.New(slog.DiscardHandler)}
	if err := cfg.complete(); err == nil {
		t.Error("--replace was taken without --join")
	}
}
