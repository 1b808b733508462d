package journal

import (
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/sheafgrid/sheaf/task"
)

// OpenSession begins a new run of numbered requests at 0. The request that was
// on its way is given up; results that it reported are reported again, which
// changes nothing where they had arrived.
func (j *Journal) OpenSession(id task.SessionID, opened task.Millis) error {
	return j.update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if err := meta.Delete(keyRequest); err != nil {
			return err
		}
		return put(meta, keySession, frameSession, Session{ID: id, Opened: opened})
	})
}

// Sent records a request before it is sent. Its number must be the one behind
// the last, which must be answered (ErrOrder).
func (j *Journal) Sent(r Request) error {
	return j.update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		s, pending, err := session(meta)
		switch {
		case err != nil:
			return err
		case pending != nil:
			return fmt.Errorf("%w: request %d is still on its way", ErrOrder, pending.Number)
		case s.Last+1 != r.Number:
			return fmt.Errorf("%w: request %d after %d", ErrOrder, r.Number, s.Last)
		}
		for _, id := range r.Reports {
			if tx.Bucket(bucketResults).Get(attemptKey(id)) == nil {
				return fmt.Errorf("request %d reports attempt %d: %w", r.Number, id, ErrUnknown)
			}
		}
		s.Last = r.Number
		if err := put(meta, keySession, frameSession, s); err != nil {
			return err
		}
		return put(meta, keyRequest, frameRequest, r)
	})
}

// session reads the session and the request on its way, if there is one.
func session(meta *bolt.Bucket) (Session, *Request, error) {
	var s Session
	found, err := get(meta, keySession, frameSession, &s, string(keySession))
	if err != nil {
		return s, nil, err
	}
	if !found {
		return s, nil, fmt.Errorf("%w: no session was opened", ErrOrder)
	}
	var r Request
	found, err = get(meta, keyRequest, frameRequest, &r, string(keyRequest))
	if err != nil || !found {
		return s, nil, err
	}
	return s, &r, nil
}

// Answer is what the answer to a request changes. The zero Answer is that of a
// refusal, which changes nothing.
type Answer struct {
	Acknowledged []task.AttemptID // of the request's reports: their attempts are gone
	Accepted     []Held           // new attempts, without results
}

// Answered records, at once, that the request of a number was answered and what
// the answer changed. Accepting an attempt that is held already changes nothing.
func (j *Journal) Answered(number uint64, a Answer) error {
	return j.update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		_, pending, err := session(meta)
		if err != nil {
			return err
		}
		if pending == nil || pending.Number != number {
			return fmt.Errorf("%w: an answer to request %d, which is not on its way", ErrOrder, number)
		}
		for _, id := range a.Acknowledged {
			if !slices.Contains(pending.Reports, id) {
				return fmt.Errorf("%w: request %d did not report attempt %d", ErrOrder, number, id)
			}
			if err := remove(tx, id); err != nil {
				return err
			}
		}
		for _, h := range a.Accepted {
			if err := accept(tx, h); err != nil {
				return err
			}
		}
		return meta.Delete(keyRequest)
	})
}

func accept(tx *bolt.Tx, h Held) error {
	b, k := tx.Bucket(bucketAttempts), attemptKey(h.Attempt.ID)
	if b.Get(k) != nil {
		return nil
	}
	return put(b, k, frameHeld, heldBytes{h.Attempt, h.Deadline.UnixMilli()})
}

// remove drops an attempt and its result.
func remove(tx *bolt.Tx, id task.AttemptID) error {
	if err := tx.Bucket(bucketAttempts).Delete(attemptKey(id)); err != nil {
		return err
	}
	return tx.Bucket(bucketResults).Delete(attemptKey(id))
}
