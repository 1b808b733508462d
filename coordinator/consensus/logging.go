package consensus

import (
	"bytes"
	"log/slog"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// hclogTo gives raft a logger whose lines go to l, with raft's own level.
func hclogTo(l *slog.Logger) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Info, DisableTime: true, Output: lineWriter{l}})
}

// lineWriter turns raft's lines ("[WARN]  text: key=value") into log records.
type lineWriter struct{ l *slog.Logger }

// Write takes one or more whole lines.
func (w lineWriter) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		level, text, ok := strings.Cut(strings.TrimSpace(string(line)), "]")
		if !ok {
			level, text = "[INFO", level
		}
		text = strings.TrimSpace(text)
		switch strings.TrimSpace(strings.TrimPrefix(level, "[")) {
		case "WARN":
			w.l.Warn("raft", "text", text)
		case "ERROR":
			w.l.Error("raft", "text", text)
		default:
			w.l.Debug("raft", "text", text)
		}
	}
	return len(b), nil
}
