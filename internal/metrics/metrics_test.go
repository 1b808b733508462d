package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/internal/metrics"
)

func TestText(t *testing.T) {
	var w metrics.Writer
	w.Counter("a_total", "What is \\ counted.", 3, "kind", `a "b"`+"\n", "of", "x")
	w.Counter("a_total", "not written again", 4, "kind", "c", "of", "y")
	w.Gauge("b", "A gauge.", 0.5)
	w.Flag("c", "A flag.", true)
	want := `# HELP a_total What is \\ counted.
# TYPE a_total counter
a_total{kind="a \"b\"\n",of="x"} 3
a_total{kind="c",of="y"} 4
# HELP b A gauge.
# TYPE b gauge
b 0.5
# HELP c A flag.
# TYPE c gauge
c 1
`
	if got := string(w.Bytes()); got != want {
		t.Errorf("wrote\n%s\nwant\n%s", got, want)
	}
}

// A histogram's buckets add up, and a duration that is exactly a bound is
// within it.
func TestDurations(t *testing.T) {
	var d metrics.Durations
	for _, took := range []time.Duration{-1, 0, 100 * time.Microsecond, 101 * time.Microsecond, time.Millisecond, time.Hour} {
		d.Observe(took)
	}
	var w metrics.Writer
	w.Durations("d_seconds", "Durations.", &d, "k", "v")
	got := string(w.Bytes())
	for _, line := range []string{
		"# TYPE d_seconds histogram\n",
		`d_seconds_bucket{k="v",le="0.0001"} 3` + "\n",
		`d_seconds_bucket{k="v",le="0.0002"} 4` + "\n",
		`d_seconds_bucket{k="v",le="0.0016"} 5` + "\n",
		`d_seconds_bucket{k="v",le="26.2144"} 5` + "\n",
		`d_seconds_bucket{k="v",le="+Inf"} 6` + "\n",
		`d_seconds_sum{k="v"} 3600.001201` + "\n",
		`d_seconds_count{k="v"} 6` + "\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
}
