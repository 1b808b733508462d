package journal

import (
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/sheafgrid/sheaf/task"
)

// Finish records how an attempt ended. It is refused where the attempt is not
// held (ErrUnknown) or has ended before (ErrFinished).
func (j *Journal) Finish(r Result) error {
	return j.update(func(tx *bolt.Tx) error {
		if tx.Bucket(bucketResults).Get(attemptKey(r.Report.Attempt)) != nil {
			return fmt.Errorf("attempt %d: %w", r.Report.Attempt, ErrFinished)
		}
		return record(tx, r)
	})
}

// Replace records another end of an attempt, for a result that cannot be
// delivered. It is refused while the first is on its way (ErrOrder).
func (j *Journal) Replace(r Result) error {
	return j.update(func(tx *bolt.Tx) error {
		if err := notOnItsWay(tx, r.Report.Attempt); err != nil {
			return err
		}
		return record(tx, r)
	})
}

func record(tx *bolt.Tx, r Result) error {
	k := attemptKey(r.Report.Attempt)
	if tx.Bucket(bucketAttempts).Get(k) == nil {
		return fmt.Errorf("attempt %d: %w", r.Report.Attempt, ErrUnknown)
	}
	return put(tx.Bucket(bucketResults), k, frameResult, r)
}

// Uploaded records that a result's outputs have arrived.
func (j *Journal) Uploaded(id task.AttemptID) error {
	return j.update(func(tx *bolt.Tx) error {
		var r Result
		found, err := get(tx.Bucket(bucketResults), attemptKey(id), frameResult, &r, fmt.Sprintf("result of attempt %d", id))
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("result of attempt %d: %w", id, ErrUnknown)
		}
		r.Uploads = nil
		return record(tx, r)
	})
}

// Forget drops an attempt that nobody waits for. Dropping one that is not held
// changes nothing; one whose report is on its way is not dropped (ErrOrder).
func (j *Journal) Forget(id task.AttemptID) error {
	return j.update(func(tx *bolt.Tx) error {
		if err := notOnItsWay(tx, id); err != nil {
			return err
		}
		return remove(tx, id)
	})
}

func notOnItsWay(tx *bolt.Tx, id task.AttemptID) error {
	var r Request
	found, err := get(tx.Bucket(bucketMeta), keyRequest, frameRequest, &r, string(keyRequest))
	if err != nil {
		return err
	}
	if found && slices.Contains(r.Reports, id) {
		return fmt.Errorf("attempt %d is reported by request %d, which is on its way: %w", id, r.Number, ErrOrder)
	}
	return nil
}
