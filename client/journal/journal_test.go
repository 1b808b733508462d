package journal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

var owner = journal.Owner{Cluster: task.ClusterID{1}, Host: task.Key{2}, Account: task.Key{3}}

func held(id task.AttemptID) journal.Held {
	return journal.Held{
		Attempt: protocol.Attempt{
			ID: id, Task: task.Task{Job: task.JobID{9}, Index: uint64(id), Args: []string{"x"}, Inputs: []task.InputRange{{Path: "in", Length: 3}}},
			Sum: task.Digest{7}, DeadlineMillis: 5000, Version: protocol.Signed{Project: "p", Signature: []byte("signature")},
		},
		Deadline: time.UnixMilli(1_700_000_000_000 + int64(id)),
	}
}

func result(id task.AttemptID, text string) journal.Result {
	return journal.Result{Report: protocol.Report{Attempt: id, Exit: 0, Work: 12, Outputs: []byte("list"), Inline: [][]byte{[]byte(text), {}}}}
}

func request(number uint64, reports ...task.AttemptID) journal.Request {
	return journal.Request{Number: number, Purpose: protocol.PurposeExchange, Frame: bytes.Repeat([]byte{byte(number)}, 100), Reports: reports, Want: 3}
}

// reopener opens a journal again after every step, as a restart would.
type reopener struct {
	t    *testing.T
	path string
	j    *journal.Journal
}

func newJournal(t *testing.T) *reopener {
	t.Helper()
	r := &reopener{t: t, path: filepath.Join(t.TempDir(), "journal.db")}
	r.open()
	t.Cleanup(func() { r.j.Close() })
	return r
}

func (r *reopener) open() {
	r.t.Helper()
	j, err := journal.Open(r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.j = j
}

// do makes a step that must succeed, and opens the journal again.
func (r *reopener) do(err error) journal.State {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.j.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
	s, err := r.j.State()
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// story fills a journal: two attempts accepted by request 1, one of them
// finished and reported by request 2, which is on its way.
func (r *reopener) story() journal.State {
	r.t.Helper()
	r.do(r.j.SetOwner(owner))
	r.do(r.j.OpenSession(5, 1000))
	r.do(r.j.Sent(request(1)))
	r.do(r.j.Answered(1, journal.Answer{Accepted: []journal.Held{held(10), held(11)}}))
	r.do(r.j.Finish(result(10, "out")))
	return r.do(r.j.Sent(request(2, 10)))
}

func TestEverythingSurvivesARestart(t *testing.T) {
	r := newJournal(t)
	if s := r.do(nil); !reflect.DeepEqual(s, journal.State{}) {
		t.Errorf("a new journal holds %+v", s)
	}
	if s := r.do(r.j.SetOwner(owner)); s.Owner == nil || *s.Owner != owner {
		t.Errorf("owner %+v, want %+v", s.Owner, owner)
	}
	if s := r.do(r.j.SetEnrolled(true)); !s.Enrolled {
		t.Error("the enrolment is forgotten")
	}
	if s := r.do(r.j.SetEnrolled(false)); s.Enrolled {
		t.Error("the enrolment cannot be taken back")
	}
	members := []protocol.Member{{Node: "a", URL: "http://127.0.0.1:1"}, {Node: "b", URL: "http://127.0.0.1:2"}}
	if s := r.do(r.j.SetMembers(members)); !reflect.DeepEqual(s.Members, members) {
		t.Errorf("members %+v, want %+v", s.Members, members)
	}
	r.do(r.j.OpenSession(5, 1000))
	want := request(1)
	if s := r.do(r.j.Sent(want)); !reflect.DeepEqual(s.Request, &want) || *s.Session != (journal.Session{ID: 5, Opened: 1000, Last: 1}) {
		t.Errorf("request %+v in session %+v", s.Request, s.Session)
	}
	both := []journal.Held{held(10), held(11)}
	if s := r.do(r.j.Answered(1, journal.Answer{Accepted: both})); s.Request != nil || !reflect.DeepEqual(s.Held, both) {
		t.Errorf("request %+v, held %+v, want none and %+v", s.Request, s.Held, both)
	}
	done := result(10, "out")
	done.Uploads = []task.OutputFile{{Name: "stdout", Size: 9, Digest: task.Digest{4}}}
	both[0].Result = &done
	if s := r.do(r.j.Finish(done)); !reflect.DeepEqual(s.Held, both) {
		t.Errorf("held %+v, want %+v", s.Held, both)
	}
	if s := r.do(r.j.Uploaded(10)); s.Held[0].Result.Uploads != nil || s.Held[0].Result.Report.Work != 12 {
		t.Errorf("uploaded: %+v", s.Held[0].Result)
	}
	failed := journal.Result{Report: protocol.Report{Attempt: 10, Failure: protocol.FailureAbandoned, Note: "no room"}}
	if s := r.do(r.j.Replace(failed)); !reflect.DeepEqual(*s.Held[0].Result, failed) {
		t.Errorf("replaced: %+v, want %+v", *s.Held[0].Result, failed)
	}
	r.do(r.j.Sent(request(2, 10)))
	if s := r.do(r.j.Answered(2, journal.Answer{Acknowledged: []task.AttemptID{10}})); len(s.Held) != 1 || s.Held[0].Attempt.ID != 11 {
		t.Errorf("after the acknowledgement %+v is held, want 11", s.Held)
	}
	if s := r.do(r.j.Forget(11)); len(s.Held) != 0 {
		t.Errorf("forgotten, and held: %+v", s.Held)
	}
	r.do(r.j.Forget(11))
}

// A request that was refused leaves the results to be sent again; so does a new
// session.
func TestRefusalKeepsResults(t *testing.T) {
	for name, end := range map[string]func(*journal.Journal) error{
		"refused":     func(j *journal.Journal) error { return j.Answered(2, journal.Answer{}) },
		"new session": func(j *journal.Journal) error { return j.OpenSession(6, 2000) },
	} {
		r := newJournal(t)
		r.story()
		s := r.do(end(r.j))
		if s.Request != nil || len(s.Held) != 2 || s.Held[0].Result == nil {
			t.Errorf("%s: request %+v, held %+v", name, s.Request, s.Held)
		}
		r.do(r.j.Sent(request(s.Session.Last+1, 10)))
	}
}

func TestStepsOutOfOrderAreRefused(t *testing.T) {
	r := newJournal(t)
	if err := r.j.Sent(request(1)); !errors.Is(err, journal.ErrOrder) {
		t.Errorf("without a session: %v", err)
	}
	before := r.story()
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"another request on its way":    {r.j.Sent(request(3)), journal.ErrOrder},
		"an answer to another":          {r.j.Answered(1, journal.Answer{}), journal.ErrOrder},
		"an unreported acknowledgement": {r.j.Answered(2, journal.Answer{Acknowledged: []task.AttemptID{11}}), journal.ErrOrder},
		"finished twice":                {r.j.Finish(result(10, "other")), journal.ErrFinished},
		"finished and never accepted":   {r.j.Finish(result(12, "x")), journal.ErrUnknown},
		"replaced on its way":           {r.j.Replace(result(10, "other")), journal.ErrOrder},
		"forgotten on its way":          {r.j.Forget(10), journal.ErrOrder},
		"uploaded without a result":     {r.j.Uploaded(11), journal.ErrUnknown},
		"another cluster":               {r.j.SetOwner(journal.Owner{Cluster: task.ClusterID{8}, Host: owner.Host, Account: owner.Account}), journal.ErrOther},
		"another host":                  {r.j.SetOwner(journal.Owner{Cluster: owner.Cluster, Host: task.Key{8}, Account: owner.Account}), journal.ErrOther},
		"another account":               {r.j.SetOwner(journal.Owner{Cluster: owner.Cluster, Host: owner.Host}), journal.ErrOther},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", name, c.err, c.want)
		}
	}
	after := r.do(nil)
	if !reflect.DeepEqual(before, after) {
		t.Errorf("refused steps changed\n%+v to\n%+v", before, after)
	}
	r.do(r.j.Answered(2, journal.Answer{}))
	for name, c := range map[string]struct{ err, want error }{
		"a number left out":         {r.j.Sent(request(4)), journal.ErrOrder},
		"a number again":            {r.j.Sent(request(2)), journal.ErrOrder},
		"a report without a result": {r.j.Sent(request(3, 11)), journal.ErrUnknown},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", name, c.err, c.want)
		}
	}
}

// A repeated answer hands out the same attempts: one that is computed by then
// keeps its result.
func TestAcceptingTwiceChangesNothing(t *testing.T) {
	r := newJournal(t)
	r.story()
	r.do(r.j.Answered(2, journal.Answer{}))
	r.do(r.j.Sent(request(3)))
	again := held(10)
	again.Deadline = again.Deadline.Add(time.Hour)
	s := r.do(r.j.Answered(3, journal.Answer{Accepted: []journal.Held{again, held(12)}}))
	if len(s.Held) != 3 || s.Held[0].Result == nil || !s.Held[0].Deadline.Equal(held(10).Deadline) {
		t.Errorf("held %+v", s.Held)
	}
}

func TestFirstPublisherIsKept(t *testing.T) {
	r := newJournal(t)
	for _, c := range []struct {
		project   string
		key, want task.Key
	}{{"p", task.Key{1}, task.Key{1}}, {"p", task.Key{2}, task.Key{1}}, {"q", task.Key{2}, task.Key{2}}, {"p", task.Key{1}, task.Key{1}}} {
		if got, err := r.j.Pin(c.project, c.key); err != nil || got != c.want {
			t.Errorf("project %s by %s: got %s, %v, want %s", c.project, c.key, got, err, c.want)
		}
		r.do(nil)
	}
}

func TestInUse(t *testing.T) {
	r := newJournal(t)
	_, err := journal.Open(r.path)
	if !errors.Is(err, journal.ErrInUse) || !strings.Contains(err.Error(), r.path) || !strings.Contains(err.Error(), "end that one") {
		t.Errorf("got %v, want ErrInUse, the path, and what to do", err)
	}
}

func TestNewerIsRefused(t *testing.T) {
	r := newJournal(t)
	r.edit(func(tx *bolt.Tx) error {
		v := struct {
			Version uint16 `msgpack:"v"`
		}{2}
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), wire.Seal(1, wire.Marshal(v)))
	})
	if _, err := journal.Open(r.path); !errors.Is(err, journal.ErrNewer) || !strings.Contains(err.Error(), "install that version") {
		t.Errorf("got %v, want ErrNewer and what to do", err)
	}
}

// edit changes the database behind the journal's back.
func (r *reopener) edit(fn func(*bolt.Tx) error) {
	r.t.Helper()
	if err := r.j.Close(); err != nil {
		r.t.Fatal(err)
	}
	db, err := bolt.Open(r.path, 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		r.t.Fatal(err)
	}
}

// What is damaged is named, and nothing is skipped.
func TestDamagedValuesAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		bucket, key string
		value       func([]byte) []byte
		want        string
	}{
		"bit of a result":     {"results", "\x00\x00\x00\x00\x00\x00\x00\x0a", func(b []byte) []byte { b[20] ^= 1; return b }, "result of attempt 10"},
		"attempt cut short":   {"attempts", "\x00\x00\x00\x00\x00\x00\x00\x0b", func(b []byte) []byte { return b[:30] }, "attempt 000000000000000b"},
		"empty request":       {"meta", "request", func([]byte) []byte { return []byte{} }, "request"},
		"request of the past": {"meta", "session", func([]byte) []byte { return wire.Seal(3, wire.Marshal(journal.Session{ID: 5, Last: 7})) }, "request 2"},
		"kinds exchanged":     {"meta", "session", func(b []byte) []byte { return wire.Seal(4, b[13:]) }, "kind 4"},
		"no schema":           {"meta", "schema", func([]byte) []byte { return nil }, "version"},
		"orphan":              {"attempts", "\x00\x00\x00\x00\x00\x00\x00\x0a", func([]byte) []byte { return nil }, "1 results are of attempts"},
		"attempt of another":  {"attempts", "\x00\x00\x00\x00\x00\x00\x00\x0c", nil, "under the number"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newJournal(t)
			r.story()
			r.edit(func(tx *bolt.Tx) error {
				b := tx.Bucket([]byte(c.bucket))
				if c.value == nil {
					return b.Put([]byte(c.key), b.Get([]byte("\x00\x00\x00\x00\x00\x00\x00\x0b")))
				}
				v := c.value(bytes.Clone(b.Get([]byte(c.key))))
				if v == nil {
					return b.Delete([]byte(c.key))
				}
				return b.Put([]byte(c.key), v)
			})
			_, err := journal.Open(r.path)
			if !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), r.path) || !strings.Contains(err.Error(), "move the file away") {
				t.Errorf("got %v, want ErrDamaged that names %q and the path", err, c.want)
			}
		})
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	for name, content := range map[string][]byte{
		"text": []byte("dear diary\n"), "zeros": make([]byte, 64<<10), "one byte": {0},
		"long text": bytes.Repeat([]byte("dear diary\n"), 10_000),
	} {
		path := filepath.Join(t.TempDir(), "journal.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := journal.Open(path); !errors.Is(err, journal.ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := journal.Open(filepath.Join(t.TempDir(), "no", "folder")); err == nil {
		t.Error("a journal in no folder")
	}
	// A database of another program.
	path := filepath.Join(t.TempDir(), "journal.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(path); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("a database of another program: %v", err)
	}
}

// An empty file is what a crash of some other tool leaves; bbolt would take it
// for a new database.
func TestEmptyFileIsNoJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(path); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}

// A journal whose making was interrupted is made again.
func TestUnfinishedJournalIsMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	if err := os.WriteFile(path+".new", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	j.Close()
	if _, err := os.Stat(path + ".new"); err == nil {
		t.Error("the unfinished one is still there")
	}
}
