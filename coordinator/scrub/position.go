package scrub

import (
	"encoding/json"
	"os"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/task"
)

// position is where a lap is. The zero one is the beginning.
type position struct {
	Area string      `json:"area"`
	From task.Digest `json:"from"`
}

// load returns where the last lap was interrupted. A file that cannot be read
// costs a lap from the beginning, and nothing else.
func (s *Scrubber) load() (p position) {
	if s.cfg.Path == "" {
		return p
	}
	b, err := os.ReadFile(s.cfg.Path)
	if err == nil && json.Unmarshal(b, &p) == nil {
		return p
	}
	return position{}
}

func (s *Scrubber) save(p position) {
	if s.cfg.Path == "" {
		return
	}
	b, err := json.Marshal(p)
	if err == nil {
		err = fsutil.WriteFileAtomic(s.cfg.Path, b, 0o600)
	}
	if err != nil {
		s.cfg.Logger.Warn("where the search for damaged blobs is could not be noted; after a restart it begins anew", "error", err)
	}
}

// after is the digest that follows another one.
func after(d task.Digest) task.Digest {
	for i := len(d) - 1; i >= 0; i-- {
		if d[i]++; d[i] != 0 {
			break
		}
	}
	return d
}
