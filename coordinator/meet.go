package coordinator

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/task"
)

// openPort opens the port at which the other coordinators meet this one.
func (c *Coordinator) openPort(id Identity, key *ecdsa.PrivateKey) error {
	authority, err := id.authority()
	if err != nil {
		return fmt.Errorf("%s: %w", identityFile(&c.cfg), err)
	}
	c.port, err = peers.Listen(peers.Config{
		Node: id.Node, Authority: authority, Key: key, Vouch: c.vouchFor, Now: c.cfg.Wall, Logger: c.cfg.Logger,
	}, c.cfg.Raft)
	if err != nil {
		return fmt.Errorf("%w; choose another address with --raft", err)
	}
	c.members = reach{c.port, c.port.Client(func(node task.NodeID) string {
		if a := c.live.Load(); a != nil {
			return a.addressOf(node)
		}
		return ""
	})}
	return nil
}

// vouchFor is what the node's state says of a peer. Until the node is put
// together it knows nobody.
func (c *Coordinator) vouchFor(ctx context.Context, p peers.Peer) error {
	if a := c.live.Load(); a != nil {
		return a.vouch(ctx, p)
	}
	return nil
}

// reach is how a node with a port reaches the others.
type reach struct {
	*peers.Port
	members *http.Client
}

// Client reaches members where the state says that they are.
func (r reach) Client() *http.Client { return r.members }

// servePeers answers the other coordinators until ctx ends.
func (c *Coordinator) servePeers(ctx context.Context) error {
	server := &http.Server{
		Handler: c.PeerHandler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(c.cfg.Logger.Handler(), slog.LevelDebug),
	}
	c.port.Attach(server)
	return serve(ctx, server, c.port.HTTP())
}
