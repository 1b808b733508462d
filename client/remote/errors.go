package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/sheafgrid/sheaf/protocol"
)

// What can be wrong with an address. The error's text is a sentence for the
// person who gave it.
var (
	ErrUnreachable    = errors.New("no coordinator answers")
	ErrNotCoordinator = errors.New("answers, but is no Sheaf coordinator")
	ErrOtherCluster   = errors.New("belongs to another cluster")
	ErrNotTrusted     = errors.New("does not prove to be the coordinator that is meant")
)

// ErrMalformed is wrapped where a coordinator's answer cannot be read.
var ErrMalformed = errors.New("malformed answer")

// errNotReady: a coordinator that has just come up. It is wrapped together with
// ErrUnreachable: who waits is served.
var errNotReady = errors.New("is starting, or is not part of a cluster yet")

// errStalled: a transfer that stood still.
var errStalled = errors.New("the transfer stood still")

// ownError is the caller's own failure, such as a file that cannot be read: it
// is the same whoever is asked.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

// final reports whether asking again, or somebody else, is of no use.
func final(err error) bool {
	var own *ownError
	if errors.As(err, &own) {
		return true
	}
	var refusal *protocol.Error
	return errors.As(err, &refusal) && !refusal.Temporary() && refusal.Code != protocol.CodeNotFound
}

// unreachable makes an error of a connection that failed.
func unreachable(base string, err error) error {
	if why := protocol.ConnectError(err); why != nil {
		return fmt.Errorf("%s %w: %w", base, ErrNotTrusted, why)
	}
	// net/http has no errors to compare with for what speaks another language;
	// the last of these is what it says when that speaks first, as SSH does.
	for _, text := range []string{"malformed HTTP", "readLoopPeekFail"} {
		if strings.Contains(err.Error(), text) {
			return fmt.Errorf("%s %w (what answers there speaks something else); check http or https, the address and its port", base, ErrNotCoordinator)
		}
	}
	return fmt.Errorf("%w at %s (%s); check the address, and that a coordinator runs there", ErrUnreachable, base, plain(err))
}

// plain is what a person needs of a connection's error.
func plain(err error) string {
	var dns *net.DNSError
	var addr *net.OpError
	var u *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errStalled):
		return "it does not answer in time"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "there is no machine of that name"
	case errors.As(err, &addr) && addr.Err != nil:
		err = addr.Err
	case errors.As(err, &u):
		err = u.Err
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 && errors.As(err, &addr) {
		text = text[i+2:]
	}
	return clip(strings.TrimPrefix(text, "connect: "))
}

func clip(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
