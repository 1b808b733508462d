package remote

import (
	"fmt"
	"net/netip"
	"net/url"
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

// parseURL reads the address of a coordinator: a scheme, a host, perhaps a
// port and a path prefix.
func parseURL(text string) (base string, host string, err error) {
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Hostname() == "",
		u.User != nil, u.RawQuery != "", u.Fragment != "", len(text) > 500:
		return "", "", fmt.Errorf("%q is %w; write it like http://coordinator.example.org:7710", clip(text), ErrBadURL)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimRight(u.EscapedPath(), "/"), u.Hostname(), nil
}

// IsLoopback reports whether an address is one of this machine's own, by its
// text alone: no name is looked up but localhost.
func IsLoopback(address string) bool {
	_, host, err := parseURL(address)
	return err == nil && local(host) == "loopback"
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
// cannot be, or would make this machine talk to itself because a coordinator
// said so, are left out.
func (r *Remote) learn(members []protocol.Member, leader task.NodeID) {
	if len(members) == 0 {
		return
	}
	var known []protocol.Member
	for _, m := range members {
		base, host, err := parseURL(m.URL)
		if err != nil || len(known) == maxMembers || len(m.Node) > 200 {
			continue
		}
		if kind := local(host); kind != "" && !r.configured(kind) || kind != "loopback" && r.cfg.LoopbackOnly {
			continue
		}
		known = append(known, protocol.Member{Node: m.Node, URL: base})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leader = leader
	if len(known) > 0 {
		r.members = known
	}
}

// configured reports whether the caller itself gave an address of a kind.
func (r *Remote) configured(kind string) bool {
	return slices.ContainsFunc(r.cfg.URLs, func(u string) bool {
		_, host, err := parseURL(u)
		return err == nil && local(host) == kind
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
func (r *Remote) order() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var bases []string
	add := func(base string) {
		if base != "" && !slices.Contains(bases, base) {
			bases = append(bases, base)
		}
	}
	for _, m := range r.members {
		if m.Node == r.leader {
			add(m.URL)
		}
	}
	add(r.preferred)
	for _, m := range r.members {
		add(m.URL)
	}
	for _, base := range r.given {
		add(base)
	}
	now := time.Now()
	slices.SortStableFunc(bases, func(a, b string) int {
		return rank(r.failed[a], now) - rank(r.failed[b], now)
	})
	return bases
}

func rank(failed, now time.Time) int {
	if !failed.IsZero() && now.Sub(failed) < coolOff {
		return 1
	}
	return 0
}

// answered and failedAt remember how an address did.
func (r *Remote) answered(base string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.preferred = base
	delete(r.failed, base)
	r.trouble = ""
}

func (r *Remote) failedAt(base string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failed) > 4*maxMembers {
		clear(r.failed)
	}
	r.failed[base] = time.Now()
}
