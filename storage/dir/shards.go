package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/sheafgrid/sheaf/task"
)

// shards is how many directories the blobs are spread over.
const shards = 256

func shardName(i int) string { return fmt.Sprintf("%02x", i) }

// shardSet knows which shards exist. A directory is made when the first blob
// comes for it, so that a small store stays small.
type shardSet struct {
	names [shards]sync.Mutex // each for the names in one shard, and what usage says of them

	mu   sync.Mutex
	made [shards]bool // durably

	newMu    sync.Mutex
	unsynced map[task.Digest]bool // new names that a power cut may take back
}

// hide keeps a new blob from everybody until its name is durable: whoever is
// told that a blob is there may count on it. Looking for it comes after
// looking for its file, or the file may appear in between.
func (s *shardSet) hide(d task.Digest) {
	s.newMu.Lock()
	defer s.newMu.Unlock()
	if s.unsynced == nil {
		s.unsynced = map[task.Digest]bool{}
	}
	s.unsynced[d] = true
}

func (s *shardSet) show(d task.Digest) {
	s.newMu.Lock()
	defer s.newMu.Unlock()
	delete(s.unsynced, d)
}

func (s *shardSet) hidden(d task.Digest) bool {
	s.newMu.Lock()
	defer s.newMu.Unlock()
	return s.unsynced[d]
}

// find learns which shards a directory has. It syncs them all: what is in them
// may come from a process that died before it could.
func (s *shardSet) find(d disk) error {
	if err := d.syncDir("."); err != nil {
		return err
	}
	names, err := d.list(".")
	if err != nil {
		return err
	}
	is := make(map[string]bool, len(names))
	for _, n := range names {
		is[n] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.made {
		name := shardName(i)
		if !is[name] {
			continue
		}
		if err := d.syncDir(name); err != nil {
			return err
		}
		s.made[i] = true
	}
	return nil
}

func (s *shardSet) has(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[i]
}

// makeShards makes those of the wanted shards that are missing, durably, with
// one sync.
func (s *Store) makeShards(wanted *[shards]bool) error {
	s.shards.mu.Lock()
	defer s.shards.mu.Unlock()
	missing := *wanted
	some := false
	for i := range missing {
		missing[i] = missing[i] && !s.shards.made[i]
		if !missing[i] {
			continue
		}
		some = true
		if err := s.disk.mkdir(shardName(i)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if !some {
		return nil
	}
	if err := s.synced(s.disk.syncDir(".")); err != nil {
		return err
	}
	for i := range missing {
		s.shards.made[i] = s.shards.made[i] || missing[i]
	}
	return nil
}

// publish gives a finished file, of length bytes, the name of its blob. Its
// shard must be made. A blob that is new stays hidden until its shard is
// synced and show is called.
func (s *Store) publish(name string, digest task.Digest, length int64) error {
	to, lock := blobName(digest), &s.shards.names[digest[0]]
	lock.Lock()
	defer lock.Unlock()
	old, err := s.disk.size(to)
	replaces := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError(digest, err)
	}
	if !replaces {
		s.shards.hide(digest)
	}
	if err := s.disk.rename(name, to); err != nil {
		if !replaces {
			s.shards.show(digest)
		}
		return diskError(digest, err)
	}
	if replaces {
		s.usage.remove(old)
	}
	s.usage.add(length)
	return nil
}
