package consensus

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Raft's complaints reach the log, each kind at most once a minute.
func TestRaftDoesNotRepeatItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := hclogTo(slog.New(slog.NewTextHandler(&b, nil)))
		for range 100 {
			log.Error("failed to heartbeat to", "peer", "n3")
			log.Warn("something else")
			log.Info("of no interest")
		}
		time.Sleep(tellEvery)
		log.Error("failed to heartbeat to", "peer", "n2")
		out := b.String()
		if n := strings.Count(out, "heartbeat"); n != 2 || strings.Count(out, "something else") != 1 || strings.Contains(out, "interest") || !strings.Contains(out, "times=100") {
			t.Errorf("it says:\n%s", out)
		}
	})
}
