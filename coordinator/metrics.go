package coordinator

import (
	"context"
	"crypto/hmac"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/internal/metrics"
	"github.com/sheafgrid/sheaf/internal/usage"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
)

// pathMetrics answers Prometheus.
const pathMetrics = "/metrics"

// serveMetrics answers with everything that is measured here. What has been
// reported and judged is nobody's to know before it is released (T3), so only a
// caller on this machine, or one that shows the node's metrics token, is told.
func (a *assembly) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if !onThisMachine(r) && !a.showsToken(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
		http.Error(w, "metrics are for this cluster's operator: ask from the machine itself, or show the token in the file metrics-token of the data folder", http.StatusUnauthorized)
		return
	}
	var m metrics.Writer
	a.writeMetrics(r.Context(), &m)
	w.Header().Set("Content-Type", metrics.ContentType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(m.Bytes()) // who went away asks again
}

// onThisMachine reports whether a request began on this machine, as far as can
// be seen: a proxy says that it passes on what somebody else asks.
func onThisMachine(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// showsToken reports whether a request has the token that the operator gave to
// Prometheus.
func (a *assembly) showsToken(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && hmac.Equal([]byte(token), []byte(metricsToken(a.parts.Identity.Secret)))
}

// writeMetrics writes all metrics. Their names do not change, and none has a
// label with a value that a stranger chooses.
func (a *assembly) writeMetrics(ctx context.Context, m *metrics.Writer) {
	a.writeNode(m)
	a.writeLog(m)
	a.writeRequests(m)
	a.node.View(func(s *state.State) { writeState(m, s) })
	a.writeStorage(ctx, m)
	writeProcess(m)
}

// writeNode writes how this node stands in its cluster.
func (a *assembly) writeNode(m *metrics.Writer) {
	s := a.node.Node.Status()
	m.Gauge("sheaf_info", "1, with the node's name and cluster.", 1, "node", string(s.Node), "cluster", a.parts.Identity.Cluster.String())
	m.Flag("sheaf_leads", "Whether this node leads and takes requests.", s.Serving)
	m.Flag("sheaf_leader_known", "Whether this node knows who leads.", s.Leader != "")
	m.Flag("sheaf_ready", "Whether /readyz says so.", a.ready() == nil)
	m.Gauge("sheaf_term", "Raft's term: it goes up with each election.", float64(s.Term))
	m.Gauge("sheaf_log_last_index", "The last entry of the log here.", float64(s.Last))
	m.Gauge("sheaf_log_commit_index", "The last entry that this node knows to be on a majority.", float64(s.Commit))
	m.Gauge("sheaf_log_applied_index", "The last entry applied to the state here.", float64(s.Applied))
	if voters, err := a.node.Voters(); err == nil {
		m.Gauge("sheaf_voters", "Coordinators whose votes count.", float64(len(voters)))
	}
}

// writeLog writes what the log and the snapshots cost.
func (a *assembly) writeLog(m *metrics.Writer) {
	x := a.node.Measures()
	m.Counter("sheaf_terms_led_total", "Terms in which this node came to lead.", float64(x.Terms.Value()))
	m.Counter("sheaf_commands_total", "Commands that went through the log from here, the leader.", float64(x.Commands.Value()))
	m.Counter("sheaf_entries_applied_total", "Entries of the log applied to the state.", float64(x.Entries.Value()))
	m.Counter("sheaf_log_written_bytes_total", "Bytes of entries written to the log.", float64(x.LogBytes.Value()))
	m.Durations("sheaf_propose_seconds", "From a command's coming until it is applied, on the leader.", &x.Propose)
	m.Durations("sheaf_apply_seconds", "Applying entries that were committed together.", &x.Apply)
	m.Durations("sheaf_log_write_seconds", "Writing entries to the log, fsync included.", &x.LogWrite)
	m.Durations("sheaf_snapshot_seconds", "Writing a snapshot, fsync included.", &x.Persist)
	at, bytes := x.Snapshot()
	if !at.IsZero() {
		m.Gauge("sheaf_snapshot_age_seconds", "Since the last snapshot; not there before the first since the start.", time.Since(at).Seconds())
		m.Gauge("sheaf_snapshot_bytes", "The size of the last snapshot.", float64(bytes))
	}
	m.Gauge("sheaf_log_unsnapshotted_bytes", "Bytes of entries applied since the last snapshot: what a restart reads.", float64(a.node.BytesSinceSnapshot()))
}

// writeRequests writes what was answered.
func (a *assembly) writeRequests(m *metrics.Writer) {
	c := &a.counts
	m.Durations("sheaf_exchange_seconds", "Exchanges carried out here, the leader, refused ones included.", &c.exchanges)
	for k := protocol.AckAccepted; int(k) < len(c.acks); k++ {
		m.Counter("sheaf_reports_total", "Reports of hosts, by what became of them.", float64(c.acks[k].Value()), "ack", k.String())
	}
	m.Counter("sheaf_assignments_total", "Attempts handed out in answers.", float64(c.attempts.Value()))
	for k := range c.short {
		m.Counter("sheaf_short_answers_total", "Answers with fewer tasks than wanted, by reason.", float64(c.short[k].Value()), "reason", string(reasons[k]))
	}
	for k := protocol.CodeMalformed; int(k) < len(c.refusals); k++ {
		m.Counter("sheaf_refusals_total", "Requests refused here, by reason.", float64(c.refusals[k].Value()), "reason", k.String())
	}
	m.Counter("sheaf_refusals_total", "", float64(c.otherCodes.Value()), "reason", "unknown")
	m.Counter("sheaf_shed_total", "Requests sent away because of too much to do.", float64(c.refusals[protocol.CodeOverloaded].Value()))
	if a.parts.Connections == nil {
		return
	}
	n := a.parts.Connections()
	m.Gauge("sheaf_connections", "Connections of clients.", float64(n.Open))
	m.Counter("sheaf_connections_total", "Connections of clients that were let in.", float64(n.Entered))
	m.Counter("sheaf_connections_closed_total", "Connections of clients closed to make room for others, the longest waiting first.", float64(n.Cut))
	m.Counter("sheaf_connections_refused_total", "Connections of clients turned away: all others were being served.", float64(n.Refused))
}

// writeState writes what the replicated state holds. It is the same on every
// node that has caught up.
func writeState(m *metrics.Writer, s *state.State) {
	t := tally(s)
	m.Gauge("sheaf_hosts", "Hosts that have enrolled.", float64(s.HostCount()))
	for k, n := range t.jobs {
		m.Gauge("sheaf_jobs", "Jobs, by state.", float64(n), "state", jobStates[k])
	}
	m.Gauge("sheaf_live_tasks", "Tasks that have a record: begun, and not sealed.", float64(t.live))
	for _, v := range []struct {
		state string
		n     uint64
	}{
		{"untouched", t.untouched},
		{"waiting", t.waiting},
		{"decided", t.decided},
		{"released", t.released},
	} {
		m.Gauge("sheaf_tasks", "Tasks of running jobs: untouched, waiting for a host, decided and not released, released and not sealed.", float64(v.n), "state", v.state)
	}
	m.Gauge("sheaf_open_attempts", "Attempts that hosts have.", float64(t.open))
	m.Counter("sheaf_attempts_total", "Attempts handed out, ever.", float64(t.attempts))
	m.Counter("sheaf_results_total", "Attempts that brought a result, ever.", float64(t.returned))
	m.Counter("sheaf_wrong_results_total", "Results found wrong, ever.", float64(t.wrong))
	m.Counter("sheaf_verdicts_total", "Tasks decided, ever.", float64(t.accepted), "verdict", "accepted")
	m.Counter("sheaf_verdicts_total", "", float64(t.failed), "verdict", "failed")
	m.Counter("sheaf_sealed_tasks_total", "Tasks whose records have gone into sheaves, ever.", float64(t.sealed))
	m.Counter("sheaf_sealed_chunks_total", "Chunks of 4,096 tasks that were sealed, ever.", float64(t.chunks))
}

// writeStorage writes what lies on the disk, and what room there is.
func (a *assembly) writeStorage(ctx context.Context, m *metrics.Writer) {
	areas := []struct {
		name  string
		usage func() (storage.Usage, error)
	}{
		{"inputs", func() (storage.Usage, error) { return a.parts.Public.Usage(ctx) }},
		{"outputs", func() (storage.Usage, error) { return a.parts.Outputs.Usage(ctx) }},
	}
	for _, x := range areas {
		if u, err := x.usage(); err == nil {
			m.Gauge("sheaf_blob_bytes", "Room that blobs take, outputs in segments included.", float64(u.Bytes), "area", x.name)
		}
	}
	for _, x := range areas {
		if u, err := x.usage(); err == nil {
			m.Gauge("sheaf_blobs", "Blobs on this node.", float64(u.Blobs), "area", x.name)
		}
	}
	if k, ok := a.collected(); ok {
		m.Counter("sheaf_collect_rounds_total", "Searches for unused blobs, failed ones included: on this node's disk, or, while it leads, in the bucket.", float64(k.Rounds))
		m.Flag("sheaf_collect_failed", "Whether the last search for unused blobs failed.", k.Failed != "")
		m.Counter("sheaf_collect_deleted_blobs_total", "Unused blobs that were deleted.", float64(k.Gone.Blobs))
		m.Counter("sheaf_collect_deleted_bytes_total", "Their bytes, before compression.", float64(k.Gone.Bytes))
	}
	if k, ok := a.collected(); ok && a.shared != nil {
		m.Counter("sheaf_collect_aside_blobs_total", "Unused blobs in the bucket that were put aside, to be deleted a day later.", float64(k.Aside.Blobs))
		m.Counter("sheaf_collect_aside_bytes_total", "Their bytes.", float64(k.Aside.Bytes))
		m.Counter("sheaf_collect_unfinished_total", "Unfinished uploads to the bucket that were removed.", float64(k.Broken))
	}
	if o, ok := a.parts.Outputs.(*outputs); ok {
		u := o.small.Usage()
		m.Gauge("sheaf_segment_bytes", "Room that small outputs take in segments.", float64(u.Bytes))
		m.Gauge("sheaf_segment_blobs", "Small outputs in segments.", float64(u.Blobs))
	}
	if free, total, err := fsutil.Space(a.parts.Dir); a.parts.Dir != "" && err == nil {
		m.Gauge("sheaf_disk_free_bytes", "Room left on the disk of the data folder.", float64(free))
		m.Gauge("sheaf_disk_bytes", "Size of the disk of the data folder.", float64(total))
	}
}

// writeProcess writes what the process uses, under the names that every Go
// program's metrics have.
func writeProcess(m *metrics.Writer) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m.Gauge("go_goroutines", "Goroutines.", float64(runtime.NumGoroutine()))
	m.Gauge("go_memstats_heap_alloc_bytes", "Bytes of objects, dead ones that were not collected yet included.", float64(mem.HeapAlloc))
	m.Gauge("go_memstats_sys_bytes", "Memory got from the system.", float64(mem.Sys))
	m.Counter("go_gc_pause_seconds_total", "Time that everything stood still for the collector.", float64(mem.PauseTotalNs)/1e9)
	if u, err := usage.Of(os.Getpid()); err == nil {
		m.Counter("process_cpu_seconds_total", "CPU time.", u.CPU.Seconds())
		m.Gauge("process_resident_memory_bytes", "Memory that is in use.", float64(u.Resident))
	}
	if machine, err := usage.Now(); err == nil {
		m.Counter("sheaf_machine_steal_ticks_total", "Processor time that the machine's own host gave to others, in ticks of 10 ms.", float64(machine.Stolen))
		m.Counter("sheaf_machine_ticks_total", "Processor time of the machine, idle time included, in ticks of 10 ms.", float64(machine.Total))
	}
}
