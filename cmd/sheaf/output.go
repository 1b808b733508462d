package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"
)

// print writes one line of JSON.
func (a *app) print(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("sheaf: %T has no JSON: %v", v, err)) // a mistake in this program
	}
	fmt.Fprintf(a.stdout, "%s\n", b)
}

// say writes a line for people; with --json it writes nothing.
func (a *app) say(format string, args ...any) {
	if !a.json {
		fmt.Fprintf(a.stdout, format+"\n", args...)
	}
}

// terminal reports whether people read standard output as it comes, and how
// wide it is.
func (a *app) terminal() (width int, ok bool) {
	f, isFile := a.stdout.(*os.File)
	if a.json || !isFile || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	return width, true
}

// plainHandler writes log records for somebody who typed a command: the
// message, and what it was about, in one line.
type plainHandler struct{ w io.Writer }

// Enabled reports whether a record is worth a line.
func (plainHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle writes a record.
func (h plainHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString("sheaf: " + r.Message)
	r.Attrs(func(at slog.Attr) bool {
		b.WriteString(": " + at.Value.String())
		return true
	})
	_, err := fmt.Fprintln(h.w, b.String())
	return err
}

// WithAttrs is not needed by what logs here.
func (h plainHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup is not needed by what logs here.
func (h plainHandler) WithGroup(string) slog.Handler { return h }

// table writes rows in columns.
func (a *app) table(head []string, rows [][]string) {
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range append([][]string{head}, rows...) {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-len([]rune(cell))+2))
			}
		}
		fmt.Fprintln(a.stdout, strings.TrimRight(b.String(), " "))
	}
}

// bar draws how much of a whole is done.
func bar(done, whole uint64, width int) string {
	if whole == 0 {
		whole, done = 1, 1
	}
	full := int(min(done, whole) * uint64(width) / whole)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// plural is "1 task", "2 tasks".
func plural[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// bytesText is a size in the unit that people would choose.
func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// durationText is a duration in the units that people would choose: 0.4 ms,
// 12 ms, 1.3 s, 2 min 5 s, 3 h 12 min, 2 d 4 h.
func durationText(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 s"
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < 59950*time.Millisecond:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d < time.Hour-time.Second/2:
		return twoUnits(d, time.Minute, "min", time.Second, "s")
	case d < 24*time.Hour-time.Minute/2:
		return twoUnits(d, time.Hour, "h", time.Minute, "min")
	}
	return twoUnits(d, 24*time.Hour, "d", time.Hour, "h")
}

// twoUnits is a duration in two units, the smaller one left out where it is 0.
func twoUnits(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	d = d.Round(small)
	text := fmt.Sprintf("%d %s", d/large, largeName)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return text
}

// dataHome is the folder under which commands keep what is theirs.
func dataHome() string {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "sheaf")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "sheaf-data"
	}
	return filepath.Join(home, ".local", "share", "sheaf")
}

// accountFile is where a person's account key is, unless they say otherwise.
func accountFile() string { return filepath.Join(dataHome(), "account.key") }

// quietHandler passes on what somebody who waits for a command must know, and
// nothing else.
type quietHandler struct{ plainHandler }

// Enabled reports whether a record is worth a line.
func (quietHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
