package coordinator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// readyLag is how many committed entries a node may have to apply and still
// count as caught up: a moment's work.
const readyLag = 1000

// probeEvery is how often the disk is tried, at most.
const probeEvery = 5 * time.Second

// probe tries whether the data folder can be written to.
type probe struct {
	dir string // "": there is none

	mu    sync.Mutex
	tried time.Time
	err   error
}

// writable returns why the folder cannot be written to, as of a moment ago.
func (p *probe) writable() error {
	if p.dir == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.tried) >= probeEvery {
		p.tried, p.err = time.Now(), writeProbe(filepath.Join(p.dir, ".probe"))
	}
	return p.err
}

// writeProbe writes a file, and takes it away again.
func writeProbe(path string) error {
	err := os.WriteFile(path, []byte("written to see that it can be\n"), 0o600)
	removed := os.Remove(path)
	switch {
	case fsutil.IsNoSpace(err):
		return fmt.Errorf("the disk of the data folder is full: %w", err)
	case err != nil:
		return fmt.Errorf("the data folder cannot be written to: %w", err)
	case removed != nil && !errors.Is(removed, os.ErrNotExist):
		return fmt.Errorf("the data folder cannot be changed: %w", removed)
	}
	return nil
}

// ready returns why clients should rather ask another node than this one.
func (a *assembly) ready() error {
	s := a.node.Node.Status()
	switch {
	case s.Leader == "":
		return errors.New("no leader is known; most coordinators must run, and reach each other")
	case s.Leader == s.Node && !s.Serving:
		return fmt.Errorf("this node was chosen to lead, and reads its log up to entry %d; it has %d", s.Last, s.Applied)
	case s.Commit > s.Applied+readyLag:
		return fmt.Errorf("it is %d entries behind", s.Commit-s.Applied)
	}
	return a.probe.writable()
}
