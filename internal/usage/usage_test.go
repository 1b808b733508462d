package usage

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestParseUsage(t *testing.T) {
	const tail = " S 1 2 2 0 -1 4194560 9 0 0 0 150 25 0 0 20 0 9 0 100 7000000 300 18446744073709551615 1 1"
	for _, name := range []string{"(sheaf)", "(a b)", "(odd) name)"} {
		u, err := parseUsage("42 "+name+tail, 4096)
		if want := (Usage{CPU: 1750 * time.Millisecond, Resident: 300 * 4096}); err != nil || u != want {
			t.Errorf("%s: got %+v, %v; want %+v", name, u, err, want)
		}
	}
	for _, bad := range []string{"", ")", "42 (sheaf) S 1 2", "42 (x)" + strings.Replace(tail, " 150 ", " many ", 1)} {
		if u, err := parseUsage(bad, 4096); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, u)
		}
	}
}

func TestParseMachine(t *testing.T) {
	from, err := parseMachine("cpu  100 10 50 800 20 5 5 10 3 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	if want := (Machine{Stolen: 10, Idle: 820, Total: 1000}); err != nil || from != want {
		t.Fatalf("got %+v, %v; want %+v", from, err, want)
	}
	to, err := parseMachine("cpu  150 10 60 820 20 5 5 30 3 0\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := StealPercent(from, to); got != 20 {
		t.Errorf("steal: got %g %%, want 20", got)
	}
	if got := BusyPercent(from, to); got != 60 {
		t.Errorf("busy: got %g %%, want 60", got)
	}
	if got := PercentOf(400*time.Millisecond, from, to); got != 40 {
		t.Errorf("400 ms: got %g %%, want 40", got)
	}
	if got := StealPercent(to, to); got != 0 {
		t.Errorf("between a reading and itself: got %g %%, want 0", got)
	}
	for _, bad := range []string{"", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 3", "cpu 1 2 3 4 5 6 7 -8"} {
		if m, err := parseMachine(bad); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, m)
		}
	}
}

func TestReadsThisMachine(t *testing.T) {
	u, err := Of(os.Getpid())
	m, machineErr := Now()
	if runtime.GOOS != "linux" {
		if err == nil || machineErr == nil {
			t.Error("want an error on a system that is not known")
		}
		return
	}
	if err != nil || u.Resident <= 0 || machineErr != nil || m.Total == 0 || m.Idle+m.Stolen > m.Total {
		t.Errorf("got %+v, %v and %+v, %v", u, err, m, machineErr)
	}
}
