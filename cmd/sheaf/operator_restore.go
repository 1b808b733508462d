package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/backup"
	"github.com/sheafgrid/sheaf/task"
)

type operatorRestoreCommand struct {
	File    string         `arg:"" help:"The backup." placeholder:"FILE" type:"path"`
	Data    string         `help:"Data folder of the new node: empty, or not there yet." required:"" placeholder:"DIR" type:"path"`
	Name    string         `help:"Name of the new node, one that the cluster has not had; drawn if not given." placeholder:"NAME"`
	Cluster task.ClusterID `help:"Refuse a backup of any other cluster than this one." placeholder:"ID"`
	Fork    bool           `help:"Make another cluster of it, with a new id: to try a backup out while the old cluster runs. Its volunteers do not come along."`
	Quota   int64          `help:"Bytes for inputs, and for outputs, each; 0: no limit." default:"0" placeholder:"BYTES"`
}

// Help is printed below the flags.
func (*operatorRestoreCommand) Help() string {
	return `Example:

    sheaf operator restore /backups/sheaf-7d1c20aa-20260301-041500.backup --data n1
    sheaf coordinator --data n1 --listen 127.0.0.1:7711

The backup is read and checked whole before anything is written. The new node begins a new cluster of one; let others join it, as with --bootstrap. It is the old cluster to volunteers and publishers: projects, jobs, credit and the operator's key stay, and what was in the making goes on. What came after the backup is lost: jobs submitted since are to be submitted again, results returned since are computed again, and attempts given out since are gone, which their volunteers are told.

Volunteers come back by themselves where the new node is reached at an address of an old one (--listen, --advertise); otherwise start their clients with --join and the new address. The cluster's own certificates are new, too: whoever went by their fingerprint (an address with #sha256=) needs the address that the new node prints.

The old coordinators must never run again: remove their data folders. While one of them answers, nothing is restored.`
}

// Run restores a backup.
func (c *operatorRestoreCommand) Run(a *app) error {
	if err := inRange("--quota", c.Quota, 0, 1<<60, "bytes"); err != nil {
		return err
	}
	if c.Name != "" {
		if err := task.CheckHandle(c.Name); err != nil {
			return failure{fmt.Errorf("--name: %w", err), exitUsage}
		}
	}
	if _, err := os.Stat(c.File); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no backup %s", c.File)
	}
	began := time.Now()
	done, err := coordinator.Restore(a.ctx, coordinator.RestoreConfig{
		File: c.File, Dir: c.Data, Name: task.NodeID(c.Name), Cluster: c.Cluster, Fork: c.Fork, Quota: c.Quota,
		Logger: slog.New(quietHandler{plainHandler{a.stderr}}),
	})
	if errors.Is(err, backup.ErrCut) || errors.Is(err, backup.ErrDamaged) {
		return failure{err, exitInvalid}
	}
	if err != nil {
		return err
	}
	m := done.Manifest
	if a.json {
		a.print(struct {
			coordinator.Restored
			Data    string  `json:"data"`
			Seconds float64 `json:"seconds"`
		}{done, c.Data, round(time.Since(began).Seconds(), 2)})
		return nil
	}
	a.say("Restored cluster %s, as it was at entry %d of its log, into %s: %s of programs and inputs, %s of results, in %s.",
		m.Cluster, m.Index, c.Data, plural(m.Public, "blob"), plural(m.Outputs, "blob"), durationText(time.Since(began)))
	a.say("Taken at:       %s", time.UnixMilli(m.Wall).Format(time.RFC3339))
	if c.Fork {
		a.say("Its new id:     %s", done.Cluster)
	}
	a.say("Start the node: sheaf coordinator --data %s --listen HOST:PORT", c.Data)
	for _, old := range done.Members {
		a.say("Was reached at: %s (node %s, which must never run again)", old.URL, old.Node)
	}
	return nil
}
