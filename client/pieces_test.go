package client_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// meter counts what a coordinator sends of each blob, and may spoil it.
type meter struct {
	*coordinator

	mu    sync.Mutex
	sent  map[string]int64 // by path
	away  bool             // for blobs alone: connections break
	spoil func(path, from string, b []byte)
	tear  int64 // bytes of an answer after which everything of blobs breaks; 0: none
}

func (m *meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, protocol.PathBlobs) {
		m.coordinator.ServeHTTP(w, r)
		return
	}
	m.mu.Lock()
	away := m.away
	m.mu.Unlock()
	if away {
		panic(http.ErrAbortHandler)
	}
	m.coordinator.ServeHTTP(&meteredWriter{ResponseWriter: w, m: m, r: r}, r)
}

type meteredWriter struct {
	http.ResponseWriter
	m *meter
	r *http.Request
	n int64
}

func (w *meteredWriter) Write(b []byte) (int, error) {
	m := w.m
	m.mu.Lock()
	b = bytes.Clone(b)
	if m.spoil != nil {
		m.spoil(w.r.URL.Path, w.r.Header.Get("Range"), b)
	}
	torn := m.tear > 0 && w.n+int64(len(b)) >= m.tear
	if torn {
		b = b[:m.tear-w.n]
		m.tear, m.away = 0, true
	}
	m.sent[w.r.URL.Path] += int64(len(b))
	w.n += int64(len(b))
	m.mu.Unlock()
	n, err := w.ResponseWriter.Write(b)
	if torn {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// of is how many bytes of a blob were sent.
func (m *meter) of(d task.Digest) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent[protocol.PathBlobs+d.String()]
}

// library is an agent with real sandboxes, a coordinator over a real line, and
// a large file.
type library struct {
	*meter
	t       *testing.T
	dir     string
	program task.Digest
	content []byte
	large   task.InputRange
	list    task.PieceList
}

const (
	largeSize  = 64<<20 - 5
	middleSize = 8<<20 - 5
)

func newLibrary(t *testing.T, size int64) *library {
	t.Helper()
	l := &library{
		meter: &meter{coordinator: newCoordinator(t), sent: map[string]int64{}},
		t:     t, dir: t.TempDir(), content: make([]byte, size),
	}
	l.after, l.next = 1, 50
	_, _ = rand.NewChaCha8([32]byte{7}).Read(l.content)
	module, err := os.ReadFile("sandbox/testdata/places.wasm")
	if err != nil {
		t.Fatal(err)
	}
	l.program = l.blob(module)
	var lister task.PieceLister
	_, _ = lister.Write(l.content)
	l.list = lister.List()
	digest := l.blob(l.content)
	l.large = task.InputRange{Path: "large", Blob: digest, Digest: digest, Length: size, Pieces: l.blob(l.list)}
	return l
}

// task queues one that reads a file at places, in pieces or whole.
func (l *library) task(inPieces bool, places ...string) task.AttemptID {
	return l.coordinator.task(l.program, func(a *protocol.Attempt) {
		in := l.large
		if !inPieces {
			in.Pieces = task.Digest{}
		}
		a.Task.Inputs, a.Task.Limits.Work, a.Task.Limits.Wall = []task.InputRange{in}, 1e11, 600_000
		sign(a)
	}, append([]string{"/in/large"}, places...)...)
}

// start runs an agent until the test ends.
func (l *library) start(change func(*client.Config)) {
	l.t.Helper()
	server := httptest.NewServer(l)
	config := realConfig(l.dir, server.URL, sandbox.Runner{Command: []string{os.Args[0], childSandbox, l.t.Name()}})
	if change != nil {
		change(&config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- runAgent(ctx, config) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
		server.Close()
	})
}

// until waits for reports and returns what the first one's program printed.
func (l *library) until(ids ...task.AttemptID) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	defer cancel()
	for _, id := range ids {
		if !l.wait(ctx, func() bool { return l.reported(id) != nil }) {
			l.t.Fatalf("attempt %d is not reported", id)
		}
	}
	return l.stdout(ids[0])
}

// A task that reads three places of a large file fetches three pieces of it,
// and has the result of one that was given the whole file. The next one finds
// them on the disk; what is damaged there is fetched anew.
func TestFetchesWhatItReads(t *testing.T) {
	l := newLibrary(t, largeSize)
	places := []string{"5500000", "41000000", "67000000"}
	l.start(nil)
	got := l.until(l.task(true, places...))
	want := int64(2<<20 + largeSize - 63<<20)
	t.Logf("%d bytes of %d were sent", l.of(l.large.Blob), largeSize)
	if n := l.of(l.large.Blob); n != want || l.of(l.large.Pieces) != 64*32 {
		t.Errorf("%d bytes of the file and %d of its list were sent, want %d and %d", n, l.of(l.large.Pieces), want, 64*32)
	}
	l.until(l.task(true, places...), l.task(true, places[1]))
	if n := l.of(l.large.Blob); n != want {
		t.Errorf("%d bytes were sent for tasks whose pieces are on the disk", n-want)
	}
	damaged := filepath.Join(l.dir, "cache", l.list.At(39).String())
	b, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2]++
	if err := os.WriteFile(damaged, b, 0o600); err != nil {
		t.Fatal(err)
	}
	again := l.until(l.task(true, places...))
	if n := l.of(l.large.Blob); n != want+1<<20 {
		t.Errorf("%d bytes were sent for a damaged piece, want %d", n-want, 1<<20)
	}
	whole := l.until(l.task(false, places...))
	if got != whole || again != whole || strings.Count(whole, "4096 bytes") != 3 {
		t.Errorf("in pieces %q, after damage %q, whole %q", got, again, whole)
	}
}

// A file that is read from end to end comes once, whatever the cache holds.
func TestReadsOnAndOn(t *testing.T) {
	l := newLibrary(t, largeSize)
	l.start(func(c *client.Config) { c.CacheBytes = 8 << 20 }) // an eighth of the file
	began := time.Now()
	got := l.until(l.task(true, "all"))
	took := time.Since(began)
	if n := l.of(l.large.Blob); n != largeSize {
		t.Errorf("%d bytes were sent of %d", n, largeSize)
	}
	began = time.Now()
	whole := l.until(l.task(false, "all"))
	t.Logf("in pieces %v, whole %v", took, time.Since(began))
	if got != whole {
		t.Errorf("in pieces %q, whole %q", got, whole)
	}
}

// The line breaks in the middle of a piece and nobody answers for a while: the
// task waits, others are computed, and it goes on where it was.
func TestTheNetworkGoesAway(t *testing.T) {
	l := newLibrary(t, middleSize)
	l.start(nil)
	l.until(l.coordinator.task(l.program, nil)) // its program is on the disk now
	l.mu.Lock()
	l.tear = 300_000 // of the first answer that is so long: the first piece
	l.mu.Unlock()
	waiting := l.task(true, "5500000", "7500000")
	gone := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.away
	}
	for deadline := time.Now().Add(time.Minute); !gone() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	other := l.coordinator.task(l.program, nil)
	l.until(other)
	if l.reported(waiting) != nil {
		t.Error("a task was reported while its input was missing")
	}
	l.mu.Lock()
	l.away = false
	l.mu.Unlock()
	got := l.until(waiting)
	if n := l.of(l.large.Blob); n != 2<<20-5 {
		t.Errorf("%d bytes were sent, want %d: the torn piece goes on where it was", n, 2<<20-5)
	}
	if whole := l.until(l.task(false, "5500000", "7500000")); got != whole || strings.Count(whole, "4096 bytes") != 2 {
		t.Errorf("in pieces %q, whole %q", got, whole)
	}
}

// A piece that is not what its list says is fetched again; if it stays so, the
// attempt is given back without a result.
func TestPiecesAreVerified(t *testing.T) {
	for name, c := range map[string]struct {
		times int
		want  protocol.Failure
	}{"once": {1, protocol.FailureNone}, "always": {1 << 30, protocol.FailureInput}} {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(t, middleSize)
			left := c.times
			l.spoil = func(path, from string, b []byte) {
				if left > 0 && path == protocol.PathBlobs+l.large.Blob.String() && strings.HasPrefix(from, "bytes=7340032-") {
					left--
					b[0]++
				}
			}
			l.start(nil)
			id := l.task(true, "5500000", "7340032")
			text := l.until(id)
			r := l.reported(id)
			if r.Failure != c.want || (r.Failure != 0) == (len(r.Outputs) > 0) {
				t.Errorf("reported %v, %q, with outputs %q", r.Failure, r.Note, text)
			}
		})
	}
}

// A list that is not the file's, or is none, is the coordinator's fault and no
// result.
func TestListsThatLie(t *testing.T) {
	for name, change := range map[string]func(l *library, in *task.InputRange){
		"too short":      func(l *library, in *task.InputRange) { in.Pieces = l.blob(l.list[32:]) },
		"of nothing":     func(l *library, in *task.InputRange) { in.Pieces = l.blob([]byte{}) },
		"of a part":      func(_ *library, in *task.InputRange) { in.Offset, in.Length = 1, in.Length-1 },
		"of other bytes": func(_ *library, in *task.InputRange) { in.Digest = task.Digest{1} },
		"nowhere":        func(_ *library, in *task.InputRange) { in.Pieces = task.Digest{1} },
		"of another": func(l *library, in *task.InputRange) {
			wrong := slices.Clone(l.list)
			wrong[5*32]++
			in.Pieces = l.blob(wrong)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(t, middleSize)
			l.start(nil)
			in := l.large
			change(l, &in)
			id := l.coordinator.task(l.program, func(a *protocol.Attempt) {
				a.Task.Inputs = []task.InputRange{in}
				sign(a)
			}, "/in/large", "5500000")
			l.until(id)
			if r := l.reported(id); r.Failure != protocol.FailureInput && r.Failure != protocol.FailureProgram {
				t.Errorf("reported %v with exit %v", r.Failure, r.Exit)
			} else {
				t.Logf("%v: %s", r.Failure, r.Note)
			}
		})
	}
}

// A piece that cannot be had now is tried again as every transfer is, and then
// given back; what a program read before counts for nothing.
func TestPiecesThatFailForAWhile(t *testing.T) {
	for refusals, want := range map[int]protocol.Failure{3: protocol.FailureNone, 1000: protocol.FailureInput} {
		story(t, func(w *world) {
			file := []byte("a small file in one piece")
			digest := task.Sum(file)
			in := task.InputRange{Path: "a", Blob: w.c.blob(file), Digest: digest, Length: int64(len(file)), Pieces: w.c.blob(digest[:])}
			left := refusals
			w.net.serve("a:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == protocol.PathBlobs+digest.String() && left > 0 {
					left--
					fail(rw, protocol.Refuse(protocol.CodeNotAllowed, "not now"))
					return
				}
				w.c.ServeHTTP(rw, r)
			}))
			id := w.c.task(w.program, func(a *protocol.Attempt) {
				a.Task.Inputs = []task.InputRange{in}
				sign(a)
			}, "read", "1s")
			w.start()
			w.untilReported(id)
			if r := w.c.reported(id); r.Failure != want || want == 0 && w.c.stdout(id) != "a=a small file in one piece;" {
				t.Errorf("%d refusals: reported %v with %q", refusals, r.Failure, w.c.stdout(id))
			}
			if n := len(w.ran()); n != min(refusals, 5)+1 {
				t.Errorf("%d refusals: it ran %d times", refusals, n)
			}
		})
	}
}

// A disk that fails while a piece is stored is this machine's trouble, not the
// task's: it rests, and then computes it.
func TestADiskThatFailsUnderAPiece(t *testing.T) {
	story(t, func(w *world) {
		file := []byte("a small file in one piece")
		digest := task.Sum(file)
		in := task.InputRange{Path: "a", Blob: w.c.blob(file), Digest: digest, Length: int64(len(file)), Pieces: w.c.blob(digest[:])}
		id := w.c.task(w.program, func(a *protocol.Attempt) {
			a.Task.Inputs = []task.InputRange{in}
			sign(a)
		}, "read", "30s")
		w.start()
		w.until("it runs", func() bool { return w.running() == 1 })
		cache := filepath.Join(w.dir, "cache")
		if err := os.Rename(cache, cache+".away"); err != nil {
			t.Fatal(err)
		}
		w.until("it is in trouble", func() bool { return w.happened(client.EventTrouble) == 1 })
		if err := os.Rename(cache+".away", cache); err != nil {
			t.Fatal(err)
		}
		w.untilReported(id)
		if got := w.c.stdout(id); got != "a=a small file in one piece;" || w.happened(client.EventFailed) != 0 {
			t.Errorf("it read %q, %d attempts failed", got, w.happened(client.EventFailed))
		}
	})
}
