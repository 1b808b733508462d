package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
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

// What a person reads about a job in which not all went well.
func TestJobTexts(t *testing.T) {
	level := func(released, errors, failed uint64) []protocol.LevelView {
		return []protocol.LevelView{{Tasks: 100, Begun: 100, Released: released, Errors: errors, Failed: failed}}
	}
	progress := &protocol.Progress{Accepted: 85, Failed: 2, Wrong: 1}
	show := func(j protocol.JobView) string {
		var b bytes.Buffer
		showJob(&app{stdout: &b}, j)
		return b.String()
	}
	for _, c := range []struct{ name, got, want string }{
		{"all well", badTasks(protocol.JobView{Levels: level(100, 0, 0)}), ""},
		{"errors", badTasks(protocol.JobView{Levels: level(100, 4, 0)}), "4 errors"},
		{"both", badTasks(protocol.JobView{Levels: level(100, 1, 2)}), "1 error, 2 failed"},
		{"reduction only", badTasks(protocol.JobView{Levels: append(level(100, 0, 0), protocol.LevelView{Level: 1, Errors: 1}, protocol.LevelView{Level: 2, Failed: 1})}), "2 errors in the reduction"},
		{"one copy", checkText(1), "computed once, by one account"},
		{"three copies", checkText(3), "computed up to 3 times, by different accounts; 2 equal results decide"},
		{"five copies", checkText(5), "computed up to 5 times, by different accounts; 3 equal results decide"},
		{
			"running", show(protocol.JobView{State: "running", Replicate: 2, Levels: level(0, 0, 0), Progress: progress}),
			"accepted     85 of 100, and 2 failed; 87 of them not final yet (only the publisher sees this",
		},
		{"running, to others", show(protocol.JobView{State: "running", Levels: level(0, 0, 0)}), "Final: released for all to fetch"},
		{
			"cancelled", show(protocol.JobView{State: "cancelled", Levels: level(0, 0, 0), Progress: progress}),
			"lost         87 of 100 were decided and not final, so they cannot be fetched",
		},
		{
			"cancelling", lostText(protocol.JobView{Levels: level(0, 0, 0), Progress: &protocol.Progress{Accepted: 87}}),
			"87 of 100 tasks had an accepted result that was not released; it cannot be fetched.",
		},
		{
			"cancelling, some failed", lostText(protocol.JobView{Levels: level(0, 0, 0), Progress: progress}),
			"87 of 100 tasks had an accepted result, or failed, and were not released; they cannot be fetched.",
		},
		{"cancelling, nothing lost", lostText(protocol.JobView{Levels: level(87, 0, 0), Progress: &protocol.Progress{Accepted: 87}}), ""},
		{"reduction", outputsText(41, 1), "41 outputs, 1 of them of the reduction"},
		{"wrong", strings.Join(meterLines(protocol.JobView{Levels: level(0, 0, 0), Progress: progress}, 0), "|"), "tasks: 87 of 100 accepted, 1 wrong refused"},
		{"none wrong", strings.Join(meterLines(protocol.JobView{Levels: level(100, 0, 0), Progress: &protocol.Progress{Accepted: 100}}, 0), "|"), "tasks: 100 of 100 final"},
	} {
		if c.got != c.want && (c.want == "" || !strings.Contains(c.got, c.want) || strings.HasPrefix(c.name, "none")) {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

// A level that stands still is told once.
func TestMeterRepeatsNothing(t *testing.T) {
	var b bytes.Buffer
	m := newJobMeter(&app{stdout: &b})
	done := protocol.LevelView{Tasks: 50, Begun: 50, Released: 50}
	m.show(protocol.JobView{Levels: []protocol.LevelView{done}})
	m.show(protocol.JobView{Levels: []protocol.LevelView{done, {Level: 1, Tasks: 4}}})
	m.show(protocol.JobView{Levels: []protocol.LevelView{done, {Level: 1, Tasks: 4, Begun: 4}}})
	if got := strings.Count(b.String(), "tasks: 50 of 50 final"); got != 1 {
		t.Errorf("got %d lines about the tasks, want 1:\n%s", got, &b)
	}
	if got := strings.Count(b.String(), "reduction 1:"); got != 2 {
		t.Errorf("got %d lines about the reduction, want 2:\n%s", got, &b)
	}
}

// Ctrl-C takes the person away, not the job.
func TestWatchInterrupted(t *testing.T) {
	r, err := remote.Open(remote.Config{URLs: []string{"http://127.0.0.1:1"}, Random: newRandom(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err = (&session{remote: r, servers: "http://127.0.0.1:1"}).watch(&app{ctx: ctx, stdout: &out, stderr: &out}, task.JobID{1})
	if got := exitCode(ctx, err); got != exitInterrupted {
		t.Errorf("got exit code %d (%v), want %d", got, err, exitInterrupted)
	}
	if text := out.String(); !strings.Contains(text, "The job goes on in the cluster") || !strings.Contains(text, "sheaf job cancel "+task.JobID{1}.String()) {
		t.Errorf("got %q, want that the job goes on and how to end it", text)
	}
}

func TestSizeFlag(t *testing.T) {
	for text, want := range map[string]sizeFlag{"0": 0, "64": 64 << 20, "64MiB": 64 << 20, "1GiB": 1 << 30, "10kB": 10_000, "128KiB": 128 << 10} {
		var f sizeFlag
		if err := f.UnmarshalText([]byte(text)); err != nil || f != want {
			t.Errorf("%s: got %d, %v, want %d", text, uint64(f), err, uint64(want))
		}
		var again sizeFlag
		if err := again.UnmarshalText([]byte(f.String())); err != nil || again != f {
			t.Errorf("%s is written as %s, which reads %d, %v", text, f, uint64(again), err)
		}
	}
	for _, text := range []string{"", "-3", "64M", "18446744073709551615", "x"} {
		var f sizeFlag
		if err := f.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, uint64(f))
		}
	}
}
