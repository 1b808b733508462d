package consensus

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// hclogTo gives raft a logger whose lines go to l, with raft's own level.
func hclogTo(l *slog.Logger) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Info, DisableTime: true, Output: &lineWriter{log: l, told: map[string]*telling{}}})
}

// tellEvery is how often the same complaint is passed on: raft repeats itself
// several times a second while a peer is away.
const tellEvery = time.Minute

// lineWriter turns raft's lines ("[WARN]  text: key=value") into log records.
type lineWriter struct {
	log *slog.Logger

	mu   sync.Mutex
	told map[string]*telling // by the text before the first colon
}

// telling is one complaint: when it was passed on, and how often it came since.
type telling struct {
	at    time.Time
	since int
}

// Write takes one or more whole lines.
func (w *lineWriter) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		level, text, ok := strings.Cut(strings.TrimSpace(string(line)), "]")
		if !ok {
			level, text = "[INFO", level
		}
		text = strings.TrimSpace(text)
		switch strings.TrimSpace(strings.TrimPrefix(level, "[")) {
		case "WARN":
			w.complain(slog.LevelWarn, text)
		case "ERROR":
			w.complain(slog.LevelError, text)
		default:
			w.log.Debug("raft", "text", text)
		}
	}
	return len(b), nil
}

// complain passes a complaint on, unless the same was passed on a moment ago.
func (w *lineWriter) complain(level slog.Level, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kind, _, _ := strings.Cut(text, ":")
	t := w.told[kind]
	if t == nil {
		t = &telling{}
		w.told[kind] = t // raft's own texts: there are a few dozen
	}
	now := time.Now()
	if t.since++; now.Sub(t.at) < tellEvery {
		return
	}
	args := []any{"text", text}
	if t.since > 1 {
		args = append(args, "times", t.since)
	}
	w.log.Log(context.Background(), level, "raft", args...)
	*t = telling{at: now}
}
