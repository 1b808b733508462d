package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"

	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/sandbox"
)

// ErrBadConfig is wrapped by refusals of a Config.
var ErrBadConfig = errors.New("configuration of the client")

// DefaultCache is how much of the disk programs and inputs may take, in bytes.
const DefaultCache = int64(10) << 30

// maxName bounds the public names, in bytes, as coordinators do.
const maxName = 64

// Sandbox runs one program once (sandbox.Runner does).
type Sandbox interface {
	Run(ctx context.Context, q sandbox.Request, onProgress func(sandbox.Progress)) (sandbox.Outcome, error)
}

// Config is what an Agent is made of. Dir, Sandbox, Random and Logger are
// required, and URLs until the journal knows the cluster's members.
type Config struct {
	Dir         string   // the data folder; made if it is missing
	URLs        []string // coordinators; one is enough
	PlainHTTP   bool     // speak plain HTTP with coordinators beyond this machine, too
	AccountKey  string   // file with the account's key; "": account.key in Dir
	AccountName string   // shown to others; "": made from the key
	HostName    string   // shown to others; "": made from the key
	Version     string   // of this program

	Rules      plan.Rules          // until SetRules
	Sense      func() plan.Machine // what is known of the machine, asked before each decision; nil: its processors
	CacheBytes int64               // of programs and inputs on the disk; 0: DefaultCache

	Sandbox   Sandbox
	Transport http.RoundTripper // nil: package remote's own
	Random    *rand.Rand        // spreads calls in time; nothing secret is made of it
	Logger    *slog.Logger
	Observe   func(Event) // told of each event, from Run's goroutine; it must not wait

	Trail string // file to which each acknowledged report is added; "": none
	Lie   *Lie   // return wrong results; only where every coordinator is on this machine
}

// Validate refuses a configuration that cannot be meant, with a sentence for
// the person who made it.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "":
		return fmt.Errorf("%w: no data folder is named", ErrBadConfig)
	case c.Sandbox == nil || c.Random == nil || c.Logger == nil:
		return fmt.Errorf("%w: no sandbox, no source of randomness or no logger was given", ErrBadConfig)
	case c.CacheBytes < 0:
		return fmt.Errorf("%w: a cache of %d bytes", ErrBadConfig, c.CacheBytes)
	}
	for _, name := range []string{c.AccountName, c.HostName} {
		if len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return fmt.Errorf("%w: the name %.80q: want at most %d bytes of printable text", ErrBadConfig, name, maxName)
		}
	}
	if err := c.Rules.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrBadConfig, err)
	}
	if c.Lie != nil {
		return c.Lie.validate(c.URLs)
	}
	return nil
}

// withDefaults fills in what was left open.
func (c Config) withDefaults() Config {
	if c.AccountKey == "" {
		c.AccountKey = filepath.Join(c.Dir, "account.key")
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = DefaultCache
	}
	if c.Sense == nil {
		cores := runtime.NumCPU()
		c.Sense = func() plan.Machine { return plan.Machine{Cores: cores} }
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	return c
}
