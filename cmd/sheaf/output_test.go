package main

import (
	"errors"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                         "0 s",
		-time.Second:              "0 s",
		400 * time.Microsecond:    "0.4 ms",
		12300 * time.Microsecond:  "12 ms",
		999499 * time.Microsecond: "999 ms",
		999500 * time.Microsecond: "1 s",
		1300 * time.Millisecond:   "1.3 s",
		9 * time.Second:           "9 s",
		59940 * time.Millisecond:  "59.9 s",
		59950 * time.Millisecond:  "1 min",
		125 * time.Second:         "2 min 5 s",
		2 * time.Hour:             "2 h",
		time.Hour - time.Second:   "59 min 59 s",
		time.Hour - 1:             "1 h",
		192 * time.Minute:         "3 h 12 min",
		24*time.Hour - 1:          "1 d",
		52 * time.Hour:            "2 d 4 h",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"0.05": "0.05", "-9": "-9", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'", "\x1b[2J": "'\uFFFD[2J'",
	} {
		if got := shellWord(word); got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
}

// A script that waits for a job can tell how it ended.
func TestVerdict(t *testing.T) {
	levels := func(errors, failed uint64) []protocol.LevelView {
		return []protocol.LevelView{{Tasks: 10, Released: 10, Errors: errors, Failed: failed}, {Level: 1, Tasks: 1, Released: 1}}
	}
	for name, c := range map[string]struct {
		job  protocol.JobView
		want int
	}{
		"all well":  {protocol.JobView{State: "done", Levels: levels(0, 0)}, exitOK},
		"errors":    {protocol.JobView{State: "done", Levels: levels(1, 0)}, exitTaskErrors},
		"failed":    {protocol.JobView{State: "done", Levels: levels(0, 1)}, exitTaskErrors},
		"cancelled": {protocol.JobView{State: "cancelled", Levels: levels(1, 0)}, exitFailed},
	} {
		err := verdict(c.job)
		if got := exitCode(t.Context(), err); got != c.want {
			t.Errorf("%s: got exit code %d (%v), want %d", name, got, err, c.want)
		}
	}
	if got := exitCode(t.Context(), failure{errors.New("x"), exitUsage}); got != exitUsage {
		t.Errorf("a failure's own code: got %d, want %d", got, exitUsage)
	}
}
