package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/backup"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

type operatorBackupCommand struct {
	To          string `arg:"" name:"file" help:"File for the backup; or a folder, in which it is named after the cluster and the time." placeholder:"FILE|DIR" type:"path"`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*operatorBackupCommand) Help() string {
	return `Example:

    sheaf operator backup /backups --account n1/operator.key --server http://127.0.0.1:7711

Everything that the cluster needs to go on elsewhere goes into one file: its state at one moment, programs, inputs, outputs and sheaves, each verified by its digest. The cluster goes on meanwhile. A backup that was interrupted goes on where it was when the same command is given again; until it is whole, its name ends with .partial.

The file lets its bearer read everything, results that are not released among it: keep it where only the operator can read it. Keep operator.key as well, apart from it.

Check it at any time with: sheaf operator fsck FILE. Put it back with: sheaf operator restore FILE --data DIR.`
}

// Run takes a backup.
func (c *operatorBackupCommand) Run(a *app) error {
	if _, err := os.Stat(c.Account); errors.Is(err, os.ErrNotExist) {
		return failure{fmt.Errorf("there is no key file %s: a backup needs the operator's, operator.key in the data folder of the node that made the cluster; give it with --account FILE", c.Account), exitUsage}
	}
	s, err := c.connect(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	path, err := backupPath(c.To, s.remote.ClusterID(), time.Now())
	if err != nil {
		return err
	}
	began, shown := time.Now(), &progressLine{a: a}
	m, err := backup.Take(a.ctx, operatorSource{s}, path, func(p backup.Progress) {
		shown.show("%s, %s; %d of %d sheaves are whole", plural(p.Blobs, "blob"), bytesText(p.Bytes), p.Sealed, p.Sheaves)
	})
	shown.clear()
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if a.json {
		a.print(struct {
			File    string  `json:"file"`
			Bytes   int64   `json:"bytes"`
			Seconds float64 `json:"seconds"`
			backup.Manifest
		}{path, info.Size(), round(time.Since(began).Seconds(), 2), m})
		return nil
	}
	a.say("Backed cluster %s up into %s, as of entry %d of its log: %s of programs and inputs, %s of results, %s, in %s.", m.Cluster, path, m.Index,
		plural(m.Public, "blob"), plural(m.Outputs, "blob"), bytesText(info.Size()), durationText(time.Since(began)))
	if m.Gone > 0 {
		a.say("%s of jobs that have ended were not there any more.", plural(m.Gone, "blob"))
	}
	a.say("It was read back and checked. State digest: %s", m.State)
	return nil
}

// backupPath is the file to write. In a folder, a backup that was interrupted is
// gone on with.
func backupPath(to string, cluster task.ClusterID, now time.Time) (string, error) {
	info, err := os.Stat(to)
	if err != nil || !info.IsDir() {
		return to, nil
	}
	begun, err := filepath.Glob(filepath.Join(to, "sheaf-"+cluster.String()[:8]+"-*.backup.partial"))
	if err != nil {
		return "", err
	}
	if len(begun) > 0 {
		return begun[len(begun)-1][:len(begun[len(begun)-1])-len(".partial")], nil
	}
	return filepath.Join(to, fmt.Sprintf("sheaf-%s-%s.backup", cluster.String()[:8], now.UTC().Format("20060102-150405"))), nil
}

// progressLine shows how far something is, in one line that changes.
type progressLine struct {
	a    *app
	last time.Time
}

func (l *progressLine) show(format string, args ...any) {
	width, terminal := l.a.terminal()
	if terminal && time.Since(l.last) > 200*time.Millisecond {
		l.last = time.Now()
		fmt.Fprintf(l.a.stdout, "\r\x1b[K%s", clipLine(fmt.Sprintf(format, args...), width))
	}
}

func (l *progressLine) clear() {
	if _, terminal := l.a.terminal(); terminal {
		fmt.Fprint(l.a.stdout, "\r\x1b[K")
	}
}

// operatorSource is a cluster as its operator may read it.
type operatorSource struct{ *session }

// Cluster names the cluster.
func (s operatorSource) Cluster(ctx context.Context) (task.ClusterID, error) {
	v, err := s.remote.Cluster(ctx)
	return v.Cluster, err
}

// Snapshot opens the state.
func (s operatorSource) Snapshot(ctx context.Context) (uint64, io.ReadCloser, error) {
	r, err := s.remote.Stream(ctx, protocol.PathSnapshot, s.key)
	if err != nil {
		return 0, nil, err
	}
	var index [8]byte
	if _, err := io.ReadFull(r, index[:]); err != nil {
		return 0, nil, errors.Join(fmt.Errorf("the cluster's snapshot: %w", err), r.Close())
	}
	return binary.BigEndian.Uint64(index[:]), r, nil
}

// batchLimit is more than a batch of blobs takes, in bytes.
const batchLimit = 32 << 20

// Batch gets small blobs together.
func (s operatorSource) Batch(ctx context.Context, needed []backup.Needed, fn func(int, []byte) error) error {
	asked := make([]protocol.Asked, len(needed))
	for i, n := range needed {
		asked[i] = protocol.Asked{Blob: n.Digest, Stage: n.Stage, Index: n.Index}
	}
	list := protocol.EncodeAsked(asked)
	b, err := s.remote.Post(ctx, protocol.OperatorBatchPath(needed[0].Area.String(), task.Sum(list)), list, batchLimit, s.key)
	if err != nil {
		return err
	}
	return protocol.ReadBatch(bytes.NewReader(b), storage.MaxSmallSize, fn)
}

// Blob opens one blob of any size.
func (s operatorSource) Blob(ctx context.Context, area backup.Area, digest task.Digest) (int64, io.ReadCloser, error) {
	path := protocol.OperatorBlobPath(area.String(), digest)
	b := &remoteBlob{openAt: func(at int64) (int64, io.ReadCloser, error) { return s.remote.Open(ctx, path, at, s.key) }}
	err := b.open()
	if protocol.HasCode(err, protocol.CodeNotFound) {
		err = fmt.Errorf("%w: %w", storage.ErrNotFound, err)
	}
	return b.size, b, err
}

// remoteBlob is a blob that is read from whichever coordinator answers: where one
// breaks off, another goes on.
type remoteBlob struct {
	openAt func(at int64) (left int64, body io.ReadCloser, err error)
	at     int64
	size   int64
	moved  bool // since it was opened last
	body   io.ReadCloser
}

func (b *remoteBlob) open() error {
	left, body, err := b.openAt(b.at)
	if err != nil {
		return err
	}
	b.size, b.body, b.moved = b.at+left, body, false
	return nil
}

// Read reads on.
func (b *remoteBlob) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.at += int64(n)
	b.moved = b.moved || n > 0
	if err == nil || b.at == b.size || !b.moved {
		return n, err
	}
	_ = b.body.Close() // it broke off already
	return n, b.open()
}

// Close ends the reading.
func (b *remoteBlob) Close() error {
	if b.body == nil {
		return nil
	}
	return b.body.Close()
}
