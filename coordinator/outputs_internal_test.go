package coordinator

import (
	"log/slog"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/collect"
	"github.com/sheafgrid/sheaf/internal/diskwatch"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/reserve"
	"github.com/sheafgrid/sheaf/task"
)

// A small output that is kept for a report stays when another task's, which has
// the same bytes, is sealed: else the report's chunk could not be.
func TestKeptOutputOutlivesAnothersGroup(t *testing.T) {
	cfg := &Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	room := reserve.NewDisk(0, func() (int64, error) { return 1 << 40, nil })
	o, err := openOutputs(t.Context(), cfg, outputParts{clock: &collect.Clock{}, room: room, disk: diskwatch.New()})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	b := storage.SmallOf([]byte("the same for both"))
	b.Group = 5
	if err := o.PutBatch(t.Context(), []storage.Small{b}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may be asked for again
		if missing, err := o.Keep(t.Context(), []task.Digest{b.Digest}); len(missing) > 0 || err != nil {
			t.Errorf("missing %v, error %v", missing, err)
		}
	}
	if err := o.small.DropGroup(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if got, err := o.small.Get(t.Context(), b.Digest, 100); string(got) != string(b.Bytes) {
		t.Errorf("got %q (%v)", got, err)
	}
	if missing, err := o.Keep(t.Context(), []task.Digest{{1}}); len(missing) != 1 || err != nil {
		t.Errorf("a blob that nobody has: missing %v, error %v", missing, err)
	}
}
