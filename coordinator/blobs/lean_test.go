package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/task"
)

// slowPeer takes its time to store a batch, or refuses it.
type slowPeer struct {
	Peer
	name  task.NodeID
	takes time.Duration
	err   error
	asked func(task.NodeID)
}

func (p *slowPeer) Name() task.NodeID { return p.name }

func (p *slowPeer) PutBatch(ctx context.Context, _ Area, _ *Parcel) error {
	p.asked(p.name)
	select {
	case <-time.After(p.takes):
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Small outputs go to a majority and no further; where a peer fails or is slow,
// the next is asked.
func TestGroupedBlobsGoToAMajority(t *testing.T) {
	broken := errors.New("broken")
	ms := time.Millisecond
	for _, c := range []struct {
		name   string
		group  uint64
		takes  map[string]time.Duration
		err    map[string]error
		leaves string
		asked  string
		after  time.Duration
		want   error
	}{
		{name: "all well", group: 2, takes: map[string]time.Duration{"b": 5 * ms}, asked: "[b]", after: 5 * ms},
		{name: "the next group goes elsewhere", group: 3, takes: map[string]time.Duration{"c": 5 * ms}, asked: "[c]", after: 5 * ms},
		{name: "the first fails", group: 2, takes: map[string]time.Duration{"b": 3 * ms, "c": 5 * ms}, err: map[string]error{"b": broken}, asked: "[b c]", after: 8 * ms},
		{name: "the first is slow", group: 2, takes: map[string]time.Duration{"b": time.Hour, "c": 5 * ms}, asked: "[b c]", after: hedgeAfter + 5*ms},
		{name: "slow is better than broken", group: 2, takes: map[string]time.Duration{"b": time.Second}, err: map[string]error{"c": broken}, asked: "[b c]", after: time.Second},
		{name: "the first leaves", group: 2, leaves: "b", takes: map[string]time.Duration{"c": 5 * ms}, asked: "[c]", after: 5 * ms},
		{name: "the first leaves, the other fails", group: 2, leaves: "b", err: map[string]error{"c": broken}, asked: "[c]", want: ErrNoMajority},
		{name: "both fail", group: 2, err: map[string]error{"b": broken, "c": broken}, asked: "[b c]", want: ErrNoMajority},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var asked []task.NodeID
				peers := func() (Peers, error) {
					list := Peers{Voter: true, Leaving: map[task.NodeID]bool{task.NodeID(c.leaves): true}}
					for _, name := range []string{"c", "b"} { // in no order
						list.Voters = append(list.Voters, &slowPeer{name: task.NodeID(name), takes: c.takes[name], err: c.err[name], asked: func(n task.NodeID) {
							mu.Lock()
							defer mu.Unlock()
							asked = append(asked, n)
						}})
					}
					return list, nil
				}
				store, err := memory.New(memory.Config{})
				if err != nil {
					t.Fatal(err)
				}
				s := New(store, store, peers, slog.New(slog.NewTextHandler(io.Discard, nil)))
				blob := storage.SmallOf([]byte("x"))
				blob.Group = c.group
				began := time.Now()
				err = s.PutBatch(t.Context(), Outputs, []storage.Small{blob})
				if took := time.Since(began); !errors.Is(err, c.want) || took != c.after {
					t.Errorf("got %v after %v, want %v after %v", err, took, c.want, c.after)
				}
				s.Close()
				if got := fmt.Sprint(asked); got != c.asked {
					t.Errorf("asked %v, want %s", got, c.asked)
				}
			})
		})
	}
}
