package state

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/task"
)

// ErrSnapshot is wrapped by every refusal of a snapshot.
var ErrSnapshot = errors.New("snapshot cannot be restored")

// A snapshot is a row of frames: the cluster, then each table page by page in
// a fixed order, then the digest of all frames before. The same state always
// gives the same bytes, so that digest is the state's too (R3).
const (
	sectionCluster uint16 = 32 + iota
	sectionMembers
	sectionAccounts
	sectionHosts
	sectionProjects
	sectionApps
	sectionVersions
	sectionJobs
	sectionStages
	sectionTasks
	sectionChunks
	sectionAttempts
	sectionSessions
	sectionOverflow
	sectionEnd
)

// maxSection bounds one frame of a snapshot: a page of the largest records,
// jobs with their specifications.
const maxSection = 64 << 20

// snapshotFormat is the version of the layout above.
const snapshotFormat = 3

type clusterSection struct {
	Format  uint16  `msgpack:"v"`
	Cluster Cluster `msgpack:"c"`
}

type pageSection[T any] struct {
	Stage   task.StageID `msgpack:"s"` // of tasks and chunks
	First   uint64       `msgpack:"f"`
	Records []T          `msgpack:"r,omitempty"`
}

type endSection struct {
	Digest task.Digest `msgpack:"d"`
}

// Frozen is a State as it was when it was frozen. It may be written while the
// State goes on, by one goroutine at a time, and must be released.
type Frozen struct {
	state State
	share *sharing
}

// Freeze takes a copy without copying: pages are shared until Apply changes
// them. It takes microseconds.
func (s *State) Freeze() *Frozen {
	s.share.frozen.Add(1)
	s.share.generation++
	f := &Frozen{share: &s.share}
	f.state.cluster = s.cluster
	f.state.members, f.state.accounts, f.state.hosts = s.members.freeze(), s.accounts.freeze(), s.hosts.freeze()
	f.state.projects, f.state.apps, f.state.versions = s.projects.freeze(), s.apps.freeze(), s.versions.freeze()
	f.state.jobs, f.state.stages = s.jobs.freeze(), s.stages.freeze()
	f.state.attempts, f.state.sessions, f.state.overflow = s.attempts.freeze(), s.sessions.freeze(), s.overflow.freeze()
	f.state.tasks = make([]*stageTables, len(s.tasks))
	for i, t := range s.tasks {
		if t != nil {
			f.state.tasks[i] = &stageTables{tasks: t.tasks.freeze(), chunks: t.chunks.freeze()}
		}
	}
	return f
}

// Release lets Apply change pages in place again. It must be called once.
func (f *Frozen) Release() { f.share.frozen.Add(-1) }

// Write writes the snapshot and returns the state's digest.
func (f *Frozen) Write(w io.Writer) (task.Digest, error) {
	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	if err := f.state.writeSections(out); err != nil {
		return task.Digest{}, err
	}
	digest := task.Digest(sum.Sum(nil))
	return digest, wire.WriteFrame(w, sectionEnd, wire.Marshal(endSection{digest}))
}

// Digest is the digest of the frozen state.
func (f *Frozen) Digest() task.Digest { return f.state.Digest() }

// Digest is the digest of the whole state: equal on all replicas that have
// applied the same entries.
func (s *State) Digest() task.Digest {
	sum := sha256.New()
	if err := s.writeSections(sum); err != nil {
		panic(fmt.Sprintf("state: a hash refused bytes: %v", err))
	}
	return task.Digest(sum.Sum(nil))
}

func (s *State) writeSections(w io.Writer) error {
	head := clusterSection{Format: snapshotFormat, Cluster: s.cluster}
	err := errors.Join(
		wire.WriteFrame(w, sectionCluster, wire.Marshal(head)),
		writeTable(w, sectionMembers, 0, &s.members),
		writeTable(w, sectionAccounts, 0, &s.accounts),
		writeTable(w, sectionHosts, 0, &s.hosts),
		writeTable(w, sectionProjects, 0, &s.projects),
		writeTable(w, sectionApps, 0, &s.apps),
		writeTable(w, sectionVersions, 0, &s.versions),
		writeTable(w, sectionJobs, 0, &s.jobs),
		writeTable(w, sectionStages, 0, &s.stages),
	)
	for id := uint64(1); id < s.stages.Len() && err == nil; id++ {
		err = errors.Join(
			writePacked(w, sectionTasks, task.StageID(id), &s.tasks[id].tasks, packTask),
			writeTable(w, sectionChunks, task.StageID(id), &s.tasks[id].chunks),
		)
	}
	if err != nil {
		return err
	}
	return errors.Join(
		writePacked(w, sectionAttempts, 0, &s.attempts, packAttempt),
		writeTable(w, sectionSessions, 0, &s.sessions),
		writeTable(w, sectionOverflow, 0, &s.overflow),
	)
}

func writeTable[T any](w io.Writer, section uint16, stage task.StageID, t *Table[T]) error {
	for first := t.base * pageSize; first < t.length; first += pageSize {
		if !t.Has(first) {
			continue // dropped
		}
		n := min(pageSize, t.length-first)
		page := pageSection[T]{Stage: stage, First: first, Records: t.pages[first/pageSize-t.base].records[:n]}
		if err := wire.WriteFrame(w, section, wire.Marshal(page)); err != nil {
			return err
		}
	}
	return nil
}

// writePacked writes a table whose records are packed by hand.
func writePacked[T any](w io.Writer, section uint16, stage task.StageID, t *Table[T], pack func([]byte, *T) []byte) error {
	var packed []byte
	for first := t.base * pageSize; first < t.length; first += pageSize {
		if !t.Has(first) {
			continue // dropped
		}
		p, n := t.pages[first/pageSize-t.base], min(pageSize, t.length-first)
		packed = packed[:0]
		for i := range n {
			packed = pack(packed, &p.records[i])
		}
		in := packedSection{Stage: stage, First: first, Count: n, Bytes: packed}
		if err := wire.WriteFrame(w, section, wire.Marshal(in)); err != nil {
			return err
		}
	}
	return nil
}
