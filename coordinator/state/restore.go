package state

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/task"
)

// Restore reads what Frozen.Write wrote. The new state is built aside: on an
// error nothing of it is used, and the node must stop (R4). Bytes that are cut
// short, changed or of another version are refused.
func Restore(r io.Reader) (*State, error) {
	in := restorer{r: r, sum: sha256.New(), state: &State{}}
	s := in.state
	s.share.generation = 1
	for in.section = 0; in.section != sectionEnd; {
		if err := in.next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("%w: frame %d: %w", ErrSnapshot, in.frames, err)
		}
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there are bytes behind its end", ErrSnapshot)
	}
	if len(s.tasks) == 0 {
		s.tasks = []*stageTables{nil}
	}
	for uint64(len(s.tasks)) < s.stages.Len() {
		s.tasks = append(s.tasks, &stageTables{})
	}
	for i := uint64(1); i < s.stages.Len(); i++ {
		t, cursor := &s.tasks[i].tasks, s.stages.At(i).Cursor
		if t.length < cursor && cursor <= task.MaxTasks && t.length%pageSize == 0 {
			t.skip(cursor)
		}
	}
	s.shareTables()
	if err := s.fits(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if err := s.rebuild(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	return s, nil
}

type restorer struct {
	r       io.Reader
	sum     hash.Hash
	state   *State
	section uint16
	frames  int
}

// next reads one frame into its table.
func (in *restorer) next() error {
	var raw bytes.Buffer
	section, payload, err := wire.ReadFrame(io.TeeReader(in.r, &raw), maxSection)
	if err != nil {
		return err
	}
	in.frames++
	if section < in.section {
		return fmt.Errorf("section %d follows section %d: %w", section, in.section, wire.ErrMalformed)
	}
	if (in.frames == 1) != (section == sectionCluster) {
		return fmt.Errorf("it does not begin with the cluster: %w", wire.ErrMalformed)
	}
	if section != sectionEnd {
		in.sum.Write(raw.Bytes())
	}
	// Tasks and chunks of one stage follow each other, stage by stage.
	if section != sectionChunks {
		in.section = section
	}
	return in.read(section, payload)
}

func (in *restorer) read(section uint16, payload []byte) error {
	s := in.state
	switch section {
	case sectionCluster:
		var head clusterSection
		if err := wire.Unmarshal(payload, &head); err != nil {
			return err
		}
		if head.Format != snapshotFormat {
			return fmt.Errorf("format %d, this program reads format %d; it was written by another version", head.Format, snapshotFormat)
		}
		if head.Cluster.Version > Newest {
			return fmt.Errorf("the cluster has version %d, this program knows version %d: %w", head.Cluster.Version, Newest, ErrNewer)
		}
		s.cluster = head.Cluster
		return nil
	case sectionMembers:
		return readPage(payload, &s.members, &s.share)
	case sectionAccounts:
		return readPage(payload, &s.accounts, &s.share)
	case sectionHosts:
		return readPage(payload, &s.hosts, &s.share)
	case sectionProjects:
		return readPage(payload, &s.projects, &s.share)
	case sectionApps:
		return readPage(payload, &s.apps, &s.share)
	case sectionVersions:
		return readPage(payload, &s.versions, &s.share)
	case sectionJobs:
		return readPage(payload, &s.jobs, &s.share)
	case sectionStages:
		return readPage(payload, &s.stages, &s.share)
	case sectionTasks, sectionChunks:
		return in.readStage(section, payload)
	case sectionAttempts:
		return unpackPage(payload, &s.attempts, &s.share, s.cluster.Attempts+1, unpackAttempt)
	case sectionSessions:
		return readPage(payload, &s.sessions, &s.share)
	case sectionOverflow:
		return readPage(payload, &s.overflow, &s.share)
	case sectionEnd:
		return in.readEnd(payload)
	}
	return fmt.Errorf("section %d is not known: %w", section, wire.ErrMalformed)
}

func (in *restorer) readStage(section uint16, payload []byte) error {
	s := in.state
	var head struct {
		Stage task.StageID `msgpack:"s"`
	}
	if err := wire.UnmarshalLax(payload, &head); err != nil {
		return err
	}
	if head.Stage == 0 || uint64(head.Stage) >= s.stages.Len() || s.stages.At(uint64(head.Stage)).Cursor > task.MaxTasks {
		return fmt.Errorf("tasks of stage %d, there are %d stages: %w", head.Stage, s.stages.Len()-1, wire.ErrMalformed)
	}
	for uint64(len(s.tasks)) < s.stages.Len() {
		s.tasks = append(s.tasks, &stageTables{})
	}
	if section == sectionTasks {
		return unpackPage(payload, &s.tasks[head.Stage].tasks, &s.share, s.stages.At(uint64(head.Stage)).Cursor, unpackTask)
	}
	return readPage(payload, &s.tasks[head.Stage].chunks, &s.share)
}

func (in *restorer) readEnd(payload []byte) error {
	var end endSection
	if err := wire.Unmarshal(payload, &end); err != nil {
		return err
	}
	if got := task.Digest(in.sum.Sum(nil)); got != end.Digest {
		return fmt.Errorf("its digest is %s, its bytes give %s: %w", end.Digest.Short(), got.Short(), wire.ErrMalformed)
	}
	return nil
}

// readPage reads the next page of a table that has all its pages.
func readPage[T any](payload []byte, t *Table[T], share *sharing) error {
	var in pageSection[T]
	if err := wire.Unmarshal(payload, &in); err != nil {
		return err
	}
	p, err := t.nextPage(share, in.First, uint64(len(in.Records)), t.length+pageSize)
	if err != nil {
		return err
	}
	copy(p.records[:], in.Records)
	return nil
}

// nextPage makes the page of a table that begins with record first and has
// count of them. The table is to have length records in the end; pages before
// this one may have been dropped.
func (t *Table[T]) nextPage(share *sharing, first, count, length uint64) (*page[T], error) {
	if first < t.length || first >= length || first%pageSize != 0 || t.length%pageSize != 0 || count == 0 || count > pageSize {
		return nil, fmt.Errorf("%d records from %d on, where %d were read: %w", count, first, t.length, wire.ErrMalformed)
	}
	t.skip(first)
	t.share = share
	p := &page[T]{generation: share.generation}
	t.pages = append(t.pages, p)
	t.length += count
	return p, nil
}

// fits checks that every number in a record names a record that is there, so
// that a snapshot with an intact digest and wrong content cannot make Apply
// run out of bounds.
func (s *State) fits() error {
	bad := func(what string, i uint64) error {
		return fmt.Errorf("%s %d names something that is not there", what, i)
	}
	for _, n := range []uint64{
		s.members.Len(), s.accounts.Len(), s.hosts.Len(), s.projects.Len(), s.apps.Len(),
		s.versions.Len(), s.jobs.Len(), s.stages.Len(), s.attempts.Len(), s.sessions.Len(), s.overflow.Len(),
	} {
		if n == 0 {
			return errors.New("a table is missing")
		}
	}
	if s.attempts.Len()%pageSize != 0 || !s.attempts.Has(0) {
		return errors.New("attempts are not on whole pages")
	}
	for i := uint64(1); i < s.hosts.Len(); i++ {
		if a := uint64(s.hosts.At(i).Account); a == 0 || a >= s.accounts.Len() {
			return bad("host", i)
		}
	}
	for i := uint64(1); i < s.projects.Len(); i++ {
		if a := uint64(s.projects.At(i).Owner); a == 0 || a >= s.accounts.Len() {
			return bad("project", i)
		}
	}
	for i := uint64(1); i < s.apps.Len(); i++ {
		if p := uint64(s.apps.At(i).Project); p == 0 || p >= s.projects.Len() {
			return bad("app", i)
		}
	}
	for i := uint64(1); i < s.versions.Len(); i++ {
		if a := uint64(s.versions.At(i).App); a == 0 || a >= s.apps.Len() {
			return bad("app version", i)
		}
	}
	return s.jobsFit(bad)
}

func (s *State) jobsFit(bad func(string, uint64) error) error {
	for i := uint64(1); i < s.jobs.Len(); i++ {
		j := s.jobs.At(i)
		ok := j.Account != 0 && uint64(j.Account) < s.accounts.Len() && j.Project != 0 && uint64(j.Project) < s.projects.Len() &&
			j.Map != 0 && uint64(j.Map) < s.versions.Len() && uint64(j.Reduce) < s.versions.Len() && len(j.Stages) > 0
		for _, id := range j.Stages {
			ok = ok && id != 0 && uint64(id) < s.stages.Len() && s.stages.At(uint64(id)).Job == task.JobNumber(i)
		}
		if !ok {
			return bad("job", i)
		}
	}
	for i := uint64(1); i < s.stages.Len(); i++ {
		st := s.stages.At(i)
		if st.Job == 0 || uint64(st.Job) >= s.jobs.Len() || st.Cursor != s.tasks[i].tasks.Len() || chunksOf(st.Cursor) != s.tasks[i].chunks.Len() {
			return bad("stage", i)
		}
		for c := range s.tasks[i].chunks.Len() {
			if !s.overflowFits(task.StageID(i), c) {
				return bad("chunk", c)
			}
		}
		if err := s.tasksFit(task.StageID(i), bad); err != nil {
			return err
		}
	}
	var wrong error
	s.eachAttempt(func(i uint64, a *Attempt) {
		if a.Host == 0 || uint64(a.Host) >= s.hosts.Len() || a.Stage == 0 || uint64(a.Stage) >= s.stages.Len() ||
			!s.hasRecord(a.Stage, uint64(a.Index)) || !s.attempts.Has(uint64(a.Previous)) {
			wrong = bad("attempt", i)
		}
	})
	return wrong
}

// tasksFit: a task has a record unless it is sealed, and its attempts are a chain
// that ends.
func (s *State) tasksFit(id task.StageID, bad func(string, uint64) error) error {
	tables := s.tasks[id]
	for i := range tables.tasks.Len() {
		there, record := s.kept(id, i)
		if tables.tasks.Has(i) != there || there && !record && *tables.tasks.At(i) != (Task{State: TaskGone}) {
			return bad("chunk", i/ChunkTasks)
		}
		if !record {
			continue
		}
		t := tables.tasks.At(i)
		if t.State == TaskGone {
			return bad("task", i)
		}
		tries := 0
		for slot := t.Last; slot != 0; slot = s.attempts.At(uint64(slot)).Previous {
			if tries++; !s.attempts.Has(uint64(slot)) || tries > int(t.Tries) {
				return bad("task", i)
			}
			if a := s.attempts.At(uint64(slot)); a.Stage != id || uint64(a.Index) != i || a.State == AttemptNone {
				return bad("task", i)
			}
		}
		if !s.attempts.Has(uint64(t.Accepted)) {
			return bad("task", i)
		}
	}
	return nil
}
