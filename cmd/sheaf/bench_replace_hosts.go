package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	crand "crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// replaceOutput is what every host returns for a task: bytes that nobody can
// compress, the same on each, and another string for every task.
func replaceOutput(index uint64, sum task.Digest) []byte {
	size := 100
	switch {
	case index%512 == 7:
		size = 3 << 19
	case index%16 == 3:
		size = 64<<10 + int(index%17)*14_000
	}
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(sum).Read(b) // never fails
	return b
}

// replaceHost is one simulated volunteer. It finds the coordinators as a
// volunteer's client does: those that it was told at first are all gone in the
// end. run is its only goroutine.
type replaceHost struct {
	test    *replaceTest
	name    string
	remote  *remote.Remote
	key     ed25519.PrivateKey
	public  task.Key
	session task.SessionID
	opened  task.Millis
	number  uint64

	held     []protocol.Attempt
	receipts map[uint64]task.Digest // by task: the list of outputs of an accepted report
	uploads  uint64
	refused  uint64
	accepted atomic.Uint64
}

// newHost enrols a host of an account of its own.
func (t *replaceTest) newHost(ctx context.Context, i int) (*replaceHost, error) {
	h := &replaceHost{test: t, name: fmt.Sprintf("host-%d", i+1), receipts: map[uint64]task.Digest{}}
	_, account, err := ed25519.GenerateKey(crand.Reader)
	if err != nil {
		return nil, err
	}
	if _, h.key, err = ed25519.GenerateKey(crand.Reader); err != nil {
		return nil, err
	}
	h.public = protocol.PublicKey(h.key)
	if h.session, err = remote.DrawSession(); err != nil {
		return nil, err
	}
	h.remote, err = remote.Open(remote.Config{
		URLs: t.urls(), Patience: 2 * time.Minute, Random: newRandom(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	view, err := h.remote.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	h.opened = view.Time
	_, err = h.send(ctx, protocol.PurposeEnrol, protocol.Enrol{
		Account: protocol.PublicKey(account), AccountName: "replace", HostName: h.name, Certificate: protocol.Certify(account, h.public), Facts: replaceFacts(),
	})
	return h, err
}

func replaceFacts() protocol.HostFacts {
	return protocol.HostFacts{Client: "bench", OS: "linux", Arch: "amd64", Cores: 16, Memory: 1 << 30}
}

// send sends a numbered request until it is answered.
func (h *replaceHost) send(ctx context.Context, purpose protocol.Purpose, payload any) (*protocol.Reply, error) {
	h.number++
	e := &protocol.Envelope{
		Version: protocol.Version, Cluster: h.remote.ClusterID(), Session: h.session, Opened: h.opened,
		Number: h.number, Purpose: purpose, Payload: wire.Marshal(payload),
	}
	e.Sign(h.key)
	reply, err := h.remote.Request(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("%s: request %d: %w", h.name, h.number, err)
	}
	return reply, nil
}

// How many tasks a host takes, and how long it waits between its contacts while
// coordinators are being replaced: it is to be there all the time.
const (
	replaceWant = 8
	replacePace = 400 * time.Millisecond
)

// run exchanges until the job is done.
func (h *replaceHost) run(ctx context.Context) error {
	defer h.remote.Close()
	for {
		reports, err := h.compute(ctx)
		if err != nil {
			return err
		}
		reply, err := h.send(ctx, protocol.PurposeExchange, protocol.Exchange{Reports: reports, Want: replaceWant, AllowAll: true, Facts: replaceFacts()})
		if err != nil {
			return err
		}
		if reply.Exchange == nil || len(reply.Exchange.Acks) != len(reports) {
			return fmt.Errorf("%s: an answer that fits no exchange", h.name)
		}
		h.take(reports, reply.Exchange)
		pause := replacePace
		if h.test.hurry.Load() {
			if pause = time.Millisecond; len(h.held) == 0 {
				if h.done() {
					return nil
				}
				pause = 300 * time.Millisecond
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (h *replaceHost) done() bool {
	var job protocol.JobView
	return h.test.any(protocol.JobPath(h.test.job), &job) == nil && job.State != "running"
}

// compute makes the reports of what is held, and uploads what is too large for
// an exchange.
func (h *replaceHost) compute(ctx context.Context) ([]protocol.Report, error) {
	var reports []protocol.Report
	for i := range h.held {
		a := &h.held[i]
		out := replaceOutput(a.Task.Index, a.Task.Sum())
		list := replaceList(out)
		r := protocol.Report{Attempt: a.ID, Task: a.Task.Sum(), Work: 5_000_000, Outputs: list.Encode(), Inline: [][]byte{out}}
		if len(out) > protocol.MaxInline {
			r.Inline = nil
			if err := h.upload(ctx, a.ID, list[0].Digest, out); err != nil {
				return nil, err
			}
		}
		reports = append(reports, r)
	}
	return reports, nil
}

func (h *replaceHost) upload(ctx context.Context, id task.AttemptID, d task.Digest, out []byte) error {
	err := h.remote.Upload(ctx, h.key, protocol.OutputsPath(id), d, int64(len(out)), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(out)), nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", h.name, err)
	}
	h.uploads++
	return nil
}

func replaceList(out []byte) task.OutputList {
	return task.OutputList{{Name: task.OutputStdout, Size: int64(len(out)), Digest: task.Sum(out)}}
}

// take notes what was accepted, and what is to be computed next.
func (h *replaceHost) take(reports []protocol.Report, reply *protocol.ExchangeReply) {
	for i, ack := range reply.Acks {
		switch ack {
		case protocol.AckAccepted:
			h.receipts[h.held[i].Task.Index] = task.Sum(reports[i].Outputs)
			h.accepted.Add(1)
		case protocol.AckRefused:
			h.refused++
		}
	}
	h.held = append(h.held[:0], reply.Attempts...)
}
