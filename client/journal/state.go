package journal

import (
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// State reads the whole journal.
func (j *Journal) State() (State, error) {
	var s State
	err := j.view(func(tx *bolt.Tx) (err error) {
		s, err = read(tx)
		return err
	})
	return s, err
}

// read reads the whole journal, and checks what must hold between its parts.
func read(tx *bolt.Tx) (State, error) {
	s, err := readMeta(tx.Bucket(bucketMeta))
	if err != nil {
		return State{}, err
	}
	if s.Held, err = readHeld(tx); err != nil {
		return State{}, err
	}
	if s.Request != nil && (s.Session == nil || s.Request.Number != s.Session.Last) {
		return State{}, fmt.Errorf("%w: request %d on its way is not the session's last", ErrDamaged, s.Request.Number)
	}
	err = tx.Bucket(bucketPublishers).ForEach(func(project, v []byte) error {
		return decode(v, frameKey, &keyBytes{}, fmt.Sprintf("publisher of %q", project))
	})
	return s, err
}

func readMeta(meta *bolt.Bucket) (State, error) {
	var s State
	var owner Owner
	var session Session
	var request Request
	var enrolled flagBytes
	var members membersBytes
	for _, v := range []struct {
		key   []byte
		kind  uint16
		into  any
		found func()
	}{
		{keyOwner, frameOwner, &owner, func() { s.Owner = &owner }},
		{keySession, frameSession, &session, func() { s.Session = &session }},
		{keyRequest, frameRequest, &request, func() { s.Request = &request }},
		{keyEnrolled, frameFlag, &enrolled, func() { s.Enrolled = enrolled.Set }},
		{keyMembers, frameMembers, &members, func() { s.Members = members.Members }},
	} {
		found, err := get(meta, v.key, v.kind, v.into, string(v.key))
		if err != nil {
			return State{}, err
		}
		if found {
			v.found()
		}
	}
	return s, nil
}

func readHeld(tx *bolt.Tx) ([]Held, error) {
	var all []Held
	results := 0
	err := tx.Bucket(bucketAttempts).ForEach(func(k, v []byte) error {
		h, err := decodeHeld(k, v)
		if err != nil {
			return err
		}
		var r Result
		found, err := get(tx.Bucket(bucketResults), k, frameResult, &r, fmt.Sprintf("result of attempt %d", h.Attempt.ID))
		if err != nil {
			return err
		}
		if found {
			if r.Report.Attempt != h.Attempt.ID {
				return fmt.Errorf("%w: the result of attempt %d is that of %d", ErrDamaged, h.Attempt.ID, r.Report.Attempt)
			}
			h.Result = &r
			results++
		}
		all = append(all, h)
		return nil
	})
	if err != nil {
		return nil, err
	}
	orphans := -results
	err = tx.Bucket(bucketResults).ForEach(func(_, _ []byte) error {
		orphans++
		return nil
	})
	if orphans != 0 {
		return nil, fmt.Errorf("%w: %d results are of attempts that were not accepted", ErrDamaged, orphans)
	}
	return all, err
}

func decodeHeld(k, v []byte) (Held, error) {
	var b heldBytes
	if err := decode(v, frameHeld, &b, fmt.Sprintf("attempt %x", k)); err != nil {
		return Held{}, err
	}
	if string(attemptKey(b.Attempt.ID)) != string(k) {
		return Held{}, fmt.Errorf("%w: attempt %d stands under the number %x", ErrDamaged, b.Attempt.ID, k)
	}
	return Held{Attempt: b.Attempt, Deadline: time.UnixMilli(b.Deadline)}, nil
}

// SetOwner says whose journal it is, once. A later call with another owner is
// refused (ErrOther).
func (j *Journal) SetOwner(o Owner) error {
	return j.update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		var was Owner
		found, err := get(meta, keyOwner, frameOwner, &was, string(keyOwner))
		switch {
		case err != nil:
			return err
		case !found:
			return put(meta, keyOwner, frameOwner, o)
		case was.Cluster != o.Cluster:
			return fmt.Errorf("%w cluster (%s), this is %s; use the folder that belongs to it, or a new one", ErrOther, was.Cluster, o.Cluster)
		case was.Host != o.Host:
			return fmt.Errorf("%w host (%s), the host key is that of %s; put the old key back, or move the journal away", ErrOther, was.Host, o.Host)
		case was.Account != o.Account:
			return fmt.Errorf("%w account (%s), the account key is that of %s; put the old key back, or use a new folder", ErrOther, was.Account, o.Account)
		}
		return nil
	})
}

// SetEnrolled records whether the cluster knows the host.
func (j *Journal) SetEnrolled(enrolled bool) error {
	return j.update(func(tx *bolt.Tx) error {
		return put(tx.Bucket(bucketMeta), keyEnrolled, frameFlag, flagBytes{enrolled})
	})
}

// SetMembers records which coordinators there are.
func (j *Journal) SetMembers(members []protocol.Member) error {
	return j.update(func(tx *bolt.Tx) error {
		return put(tx.Bucket(bucketMeta), keyMembers, frameMembers, membersBytes{members})
	})
}

// Pin returns the key that signs a project's programs: the first one that was
// ever given, which is recorded.
func (j *Journal) Pin(project string, key task.Key) (task.Key, error) {
	var known keyBytes
	var found bool
	read := func(tx *bolt.Tx) (err error) {
		found, err = get(tx.Bucket(bucketPublishers), []byte(project), frameKey, &known, fmt.Sprintf("publisher of %q", project))
		return err
	}
	if err := j.view(read); err != nil || found {
		return known.Key, err
	}
	err := j.update(func(tx *bolt.Tx) error {
		if err := read(tx); err != nil || found {
			return err
		}
		known.Key = key
		return put(tx.Bucket(bucketPublishers), []byte(project), frameKey, known)
	})
	return known.Key, err
}
