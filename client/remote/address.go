package remote

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// maxMembers is how many coordinators are remembered.
const maxMembers = 64

// coolOff is how long an address that did not answer comes last.
const coolOff = 30 * time.Second

// IsLoopback reports whether an address is one of this machine's own, by its
// text alone: no name is looked up but localhost.
func IsLoopback(address string) bool {
	a, err := protocol.ParseAddress(address)
	return err == nil && local(a.Hostname()) == "loopback"
}

// local classifies a host that should not be called because a stranger said so.
func local(host string) string {
	if h := strings.ToLower(host); h == "localhost" || strings.HasSuffix(h, ".localhost") {
		return "loopback"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	switch ip = ip.Unmap(); {
	case ip.IsLoopback(), ip.IsUnspecified():
		return "loopback"
	case ip.IsLinkLocalUnicast(), ip.IsMulticast():
		return "link-local"
	}
	return ""
}

// learn takes over the members that an answer names. Members whose addresses
// cannot be, would be read on the way, or would make this machine talk to itself
// because a coordinator said so, are left out.
func (r *Remote) learn(members []protocol.Member, leader task.NodeID) {
	if len(members) == 0 {
		return
	}
	var known []protocol.Member
	var addresses []protocol.Address
	for _, m := range members {
		a, err := protocol.ParseAddress(m.URL)
		if err != nil || len(known) == maxMembers || len(m.Node) > 200 || r.cfg.readable(a) {
			continue
		}
		if kind := local(a.Hostname()); kind != "" && !r.configured(kind) || kind != "loopback" && r.cfg.LoopbackOnly {
			continue
		}
		known = append(known, protocol.Member{Node: m.Node, URL: a.String()})
		addresses = append(addresses, a)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leader = leader
	if len(known) > 0 {
		r.members, r.addresses = known, addresses
	}
}

// readable reports whether what is said at an address could be read on the way,
// although nobody said that this is no harm.
func (c *Config) readable(a protocol.Address) bool {
	return !c.PlainHTTP && !a.Encrypted() && local(a.Hostname()) != "loopback"
}

// configured reports whether the caller itself gave an address of a kind.
func (r *Remote) configured(kind string) bool {
	return slices.ContainsFunc(r.cfg.URLs, func(u string) bool {
		a, err := protocol.ParseAddress(u)
		return err == nil && local(a.Hostname()) == kind
	})
}

// Members are the coordinators that the last answer named. The caller owns the
// list.
func (r *Remote) Members() []protocol.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.members)
}

// order lists the addresses in the order in which to try them: the leader's,
// the one that answered last, the other members', those that the caller gave;
// those that did not answer a moment ago come last.
func (r *Remote) order() []protocol.Address {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []protocol.Address
	add := func(a protocol.Address) {
		if a.Base != "" && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	for i, m := range r.members {
		if m.Node == r.leader {
			add(r.addresses[i])
		}
	}
	add(r.preferred)
	for _, a := range r.addresses {
		add(a)
	}
	for _, a := range r.given {
		add(a)
	}
	now := time.Now()
	slices.SortStableFunc(all, func(a, b protocol.Address) int {
		return rank(r.failed[a], now) - rank(r.failed[b], now)
	})
	return all
}

func rank(failed, now time.Time) int {
	if !failed.IsZero() && now.Sub(failed) < coolOff {
		return 1
	}
	return 0
}

// answered and failedAt remember how an address did.
func (r *Remote) answered(a protocol.Address) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.preferred = a
	delete(r.failed, a)
	r.trouble = ""
}

func (r *Remote) failedAt(a protocol.Address) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failed) > 4*maxMembers {
		clear(r.failed)
	}
	r.failed[a] = time.Now()
}
