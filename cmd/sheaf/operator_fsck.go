package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/backup"
)

type operatorFsckCommand struct {
	Path  string `arg:"" help:"Data folder of a node that is stopped, or a backup." placeholder:"DIR|FILE" type:"path"`
	Entry uint64 `help:"Replay the log up to this entry only; default: all of it. To compare the state digests of two nodes." placeholder:"N"`
}

// Help is printed below the flags.
func (*operatorFsckCommand) Help() string {
	return `Examples:

    sheaf operator fsck n2
    sheaf operator fsck /backups/sheaf-7d1c20aa-20260301-041500.backup

Every byte of the log and of the snapshots is read and checked, the log is replayed over the newest snapshot, the state is checked against every invariant, and every blob against its digest. Nothing is changed. Each thing that is wrong is named with its file. The state digest belongs to the entry shown; it is the same on every node.

A blob that is damaged here is fetched from another coordinator when it is read. A node whose log or snapshot is damaged is replaced: start another one with an empty folder, a new --name, --join URL and --replace NAME.

The exit code is 0 when all is well, and 1 when something is damaged.`
}

// Run checks a folder or a backup.
func (c *operatorFsckCommand) Run(a *app) error {
	info, err := os.Stat(c.Path)
	if err != nil {
		return fmt.Errorf("there is nothing to check at %s: %w", c.Path, err)
	}
	if !info.IsDir() {
		return c.backup(a, info.Size())
	}
	began := time.Now()
	r, err := coordinator.Fsck(a.ctx, c.Path, c.Entry)
	if err != nil {
		return err
	}
	ok := len(r.Damage) == 0
	if a.json {
		a.print(struct {
			OK bool `json:"ok"`
			coordinator.Checkup
			Seconds float64 `json:"seconds"`
		}{ok, r, round(time.Since(began).Seconds(), 2)})
		return wrongIf(!ok)
	}
	a.say("Node %s of cluster %s", r.Node, r.Cluster)
	a.say("  snapshot      %s", entryText(r.Snapshot))
	if r.Last > 0 {
		a.say("  log           entries %d to %d; applied at least to %d", r.First, r.Last, r.Reached)
	}
	if r.Torn > 0 {
		a.say("                and %s of a write that was interrupted, which nobody was told of", bytesText(r.Torn))
	}
	if !r.State.IsZero() {
		a.say("  state         %s at entry %d", r.State, r.Index)
	}
	a.say("  blobs         %d of programs and inputs, %d of results", r.Public, r.Outputs)
	if r.Bucket != "" {
		a.say("  not checked   what is in %s: programs, inputs, packs and large results", r.Bucket)
	}
	if r.Missing > 0 {
		a.say("  not here      %s that the state needs, such as %s: another coordinator has to have them", plural(r.Missing, "blob"), r.Example)
	}
	for _, d := range r.Damage {
		a.say("DAMAGED  %s", d)
	}
	if ok {
		a.say("All is well, in %s.", durationText(time.Since(began)))
	} else {
		a.say("Found wrong: %d.", len(r.Damage))
	}
	return wrongIf(!ok)
}

// wrongIf is the exit code of a check whose findings were told.
func wrongIf(wrong bool) error {
	if wrong {
		return failure{code: exitFailed}
	}
	return nil
}

func entryText(index uint64) string {
	if index == 0 {
		return "none"
	}
	return fmt.Sprintf("up to entry %d", index)
}

func (c *operatorFsckCommand) backup(a *app, size int64) error {
	m, err := backup.Check(a.ctx, c.Path)
	if err != nil && !errors.Is(err, backup.ErrCut) && !errors.Is(err, backup.ErrDamaged) {
		return err
	}
	damage := []string{}
	if err != nil {
		damage = append(damage, err.Error())
	}
	switch {
	case a.json:
		a.print(struct {
			OK     bool     `json:"ok"`
			Damage []string `json:"damage"`
			Bytes  int64    `json:"bytes"`
			backup.Manifest
		}{err == nil, damage, size, m})
	case err != nil:
		a.say("DAMAGED  %v", err)
	default:
		a.say("Backup of cluster %s, taken %s, %s", m.Cluster, time.UnixMilli(m.Wall).Format(time.RFC3339), bytesText(size))
		a.say("  state         %s at entry %d", m.State, m.Index)
		a.say("  blobs         %d of programs and inputs, %d of results", m.Public, m.Outputs)
		a.say("All is well.")
	}
	return wrongIf(err != nil)
}
