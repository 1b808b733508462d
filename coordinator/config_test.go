package coordinator

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

// What listens on all addresses is reached by peers where clients reach it.
func TestAddressForPeers(t *testing.T) {
	for _, c := range []struct{ listen, raft, advertise, want string }{
		{"10.0.0.1:7710", "", "", "10.0.0.1:8710"},
		{"10.0.0.1:7710", "10.1.0.1:9000", "", "10.1.0.1:9000"},
		{":7710", "", "https://one.example:443", "one.example:8710"},
		{"0.0.0.0:7710", "[::]:9000", "https://[fd00::1]:7710", "[fd00::1]:9000"},
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

// Who speaks plain HTTP beyond this machine must have said so.
func TestEncryptionForClients(t *testing.T) {
	for _, k := range []struct {
		listen, advertise string
		https             HTTPS
		want, says        string
	}{
		{"127.0.0.1:7710", "", HTTPS{}, "http://127.0.0.1:7710", ""},
		{"localhost:7710", "", HTTPS{}, "http://localhost:7710", ""},
		{"127.0.0.1:7710", "", HTTPS{Encryption: EncryptOwn}, "https://127.0.0.1:7710", ""},
		{"10.0.0.1:7710", "", HTTPS{}, "https://10.0.0.1:7710", ""},
		{"10.0.0.1:7710", "", HTTPS{Encryption: EncryptNot}, "http://10.0.0.1:7710", ""},
		{"127.0.0.1:7710", "https://front.example", HTTPS{}, "https://front.example", ""},
		{"127.0.0.1:7710", "http://front.example", HTTPS{}, "", "add --tls off"},
		{"127.0.0.1:7710", "http://front.example", HTTPS{Encryption: EncryptNot}, "http://front.example", ""},
		{"0.0.0.0:7710", "", HTTPS{}, "", "--advertise https://HOST:7710"},
		{"0.0.0.0:7710", "", HTTPS{Encryption: EncryptNot}, "", "--advertise http://HOST:7710"},
		{"0.0.0.0:7710", "http://one.example", HTTPS{}, "", "write https://"},
		{":443", "", HTTPS{Domains: []string{"one.example"}}, "https://one.example", ""},
		{":7710", "", HTTPS{Domains: []string{"one.example"}}, "https://one.example:7710", ""},
		{"10.0.0.1:7710", "", HTTPS{Cert: "a", Key: "b"}, "https://10.0.0.1:7710", ""},
		{"10.0.0.1:7710", "", HTTPS{Cert: "a"}, "", "--tls-key"},
		{"10.0.0.1:7710", "", HTTPS{Key: "a"}, "", "--tls-key"},
		{"10.0.0.1:7710", "", HTTPS{Cert: "a", Key: "b", Domains: []string{"one.example"}}, "", "said twice"},
		{"10.0.0.1:7710", "", HTTPS{Cert: "a", Key: "b", Encryption: EncryptNot}, "", "said twice"},
		{"10.0.0.1:7710", "", HTTPS{Encryption: "maybe"}, "", "auto, own or off"},
	} {
		cfg := Config{Dir: "n1", Listen: k.listen, Advertise: k.advertise, HTTPS: k.https, Logger: slog.New(slog.DiscardHandler)}
		err := cfg.complete()
		if k.says != "" && (err == nil || !strings.Contains(err.Error(), k.says)) || k.says == "" && (err != nil || cfg.Advertise != k.want) {
			t.Errorf("%+v: got %q, %v; want %q, %q", k, cfg.Advertise, err, k.want, k.says)
		}
	}
}
