package metrics

import (
	"bytes"
	"strconv"
	"strings"
)

// ContentType is that of what a Writer writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Writer writes metrics in Prometheus' text format. All series of one metric
// are written one after the other.
type Writer struct {
	b    bytes.Buffer
	last string
}

// Bytes is what was written.
func (w *Writer) Bytes() []byte { return w.b.Bytes() }

// Counter writes one series of a counter. labels are names and values in turn.
func (w *Writer) Counter(name, help string, value float64, labels ...string) {
	w.head(name, help, "counter")
	w.line(name, value, labels)
}

// Gauge writes one series of a value that goes up and down.
func (w *Writer) Gauge(name, help string, value float64, labels ...string) {
	w.head(name, help, "gauge")
	w.line(name, value, labels)
}

// Flag writes a gauge that is 1 or 0.
func (w *Writer) Flag(name, help string, on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	w.Gauge(name, help, v, labels...)
}

// Durations writes a histogram, in seconds.
func (w *Writer) Durations(name, help string, d *Durations, labels ...string) {
	w.head(name, help, "histogram")
	total, bound := uint64(0), firstBound
	for k := range buckets {
		total += d.counts[k].Load()
		w.line(name+"_bucket", float64(total), append(labels[:len(labels):len(labels)], "le", number(bound.Seconds())))
		bound *= 2
	}
	total += d.counts[buckets].Load()
	w.line(name+"_bucket", float64(total), append(labels[:len(labels):len(labels)], "le", "+Inf"))
	w.line(name+"_sum", float64(d.nanos.Load())/1e9, labels)
	w.line(name+"_count", float64(total), labels)
}

// head writes what a metric is, once.
func (w *Writer) head(name, help, kind string) {
	if name == w.last {
		return
	}
	w.last = name
	w.b.WriteString("# HELP " + name + " " + strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help) + "\n# TYPE " + name + " " + kind + "\n")
}

func (w *Writer) line(name string, value float64, labels []string) {
	w.b.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		separator := ","
		if i == 0 {
			separator = "{"
		}
		w.b.WriteString(separator + labels[i] + `="` + strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(labels[i+1]) + `"`)
	}
	if len(labels) > 1 {
		w.b.WriteByte('}')
	}
	w.b.WriteString(" " + number(value) + "\n")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
