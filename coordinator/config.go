package coordinator

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/task"
)

// DefaultConnections is how many clients may be connected. They are connected
// while they talk, and two minutes longer.
const DefaultConnections = 8192

// raftPortAbove is how far above the port for clients that for other
// coordinators is, unless it is given.
const raftPortAbove = 1000

// complete checks a configuration and fills in what was left out.
func (c *Config) complete() error {
	if c.Logger == nil {
		return errors.New("coordinator: no logger")
	}
	if c.Dir == "" {
		return errors.New("no data folder is named; give one with --data DIR")
	}
	host, port, err := splitAddress(c.Listen)
	if err != nil {
		return fmt.Errorf("address for clients %q: %w; give it as --listen HOST:PORT", c.Listen, err)
	}
	if c.Raft == "" {
		c.Raft = net.JoinHostPort(host, strconv.Itoa(port+raftPortAbove))
	}
	if _, _, err := splitAddress(c.Raft); err != nil {
		return fmt.Errorf("address for other coordinators %q: %w; give it as --raft HOST:PORT", c.Raft, err)
	}
	if err := c.completeHTTPS(host, port); err != nil {
		return err
	}
	u, err := url.Parse(c.Advertise)
	if err != nil {
		return fmt.Errorf("--advertise %q: %w", c.Advertise, err)
	}
	c.advertiseRaft = c.Raft
	if host, port, _ := net.SplitHostPort(c.Raft); unspecified(host) {
		c.advertiseRaft = net.JoinHostPort(u.Hostname(), port)
	}
	if c.Name != "" {
		if err := task.CheckHandle(string(c.Name)); err != nil {
			return fmt.Errorf("--name: %w", err)
		}
	}
	if c.Bootstrap != nil && c.Join != "" {
		return errors.New("--bootstrap makes a new cluster, --join joins one: give only one of them")
	}
	if c.Replace != "" && c.Join == "" {
		return errors.New("--replace NAME takes the place of a member of the cluster to join: give --join URL, too")
	}
	if c.Wall == nil {
		c.Wall = time.Now
	}
	if c.MaxConnections < 0 || c.MaxPerHost < 0 {
		return fmt.Errorf("%d connections, %d of one address: want numbers from 0 on", c.MaxConnections, c.MaxPerHost)
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = DefaultConnections
	}
	if c.Timing == (consensus.Timing{}) {
		c.Timing = consensus.TimingLAN()
	}
	return nil
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, errors.New("want HOST:PORT")
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535-raftPortAbove {
		return "", 0, fmt.Errorf("port %q: want 1 to %d", text, 65535-raftPortAbove)
	}
	return host, port, nil
}

// unspecified reports whether a host stands for all addresses of this machine,
// and so for another machine to each peer.
func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func mkdir(dir string) error {
	if err := fsutil.MkdirAllSync(dir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

// loopback reports whether an address can be reached from this machine alone.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
