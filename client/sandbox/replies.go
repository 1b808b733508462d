package sandbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/task"
)

// errEnded: the child ended, or was killed, before it had answered.
var errEnded = errors.New("no answer came")

// receiveOutcome reads the child's answer. Errors wrap errEnded, ErrBadReply,
// what the child says, or what an output's writer says.
func receiveOutcome(replies io.Reader, q *Request, feed *feed, onProgress func(Progress)) (Outcome, error) {
	var buffer []byte
	for {
		kind, payload, err := readReply(replies, &buffer)
		if err != nil {
			return Outcome{}, err
		}
		switch kind {
		case frameProgress:
			p, err := decodeProgress(payload)
			if err != nil {
				return Outcome{}, fmt.Errorf("%w: %w", ErrBadReply, err)
			}
			if onProgress != nil {
				onProgress(p)
			}
		case frameNeed:
			n, err := decodeNeed(payload, q.Inputs)
			if err == nil {
				err = feed.ask(n)
			}
			if err != nil {
				return Outcome{}, fmt.Errorf("%w: %w", ErrBadReply, err)
			}
		case frameFailure:
			failure, malformed := decodeFailure(payload)
			if malformed != nil {
				return Outcome{}, fmt.Errorf("%w: %w", ErrBadReply, malformed)
			}
			return Outcome{}, failure
		case frameOutcome:
			o, err := decodeOutcome(payload, q.Limits)
			if err != nil {
				return Outcome{}, fmt.Errorf("%w: %w", ErrBadReply, err)
			}
			if err := receiveContents(replies, &buffer, &o, q.Output); err != nil {
				return Outcome{}, err
			}
			return o, nil
		default:
			return Outcome{}, fmt.Errorf("%w: frame %q where an answer begins", ErrBadReply, byte(kind))
		}
	}
}

// receiveContents reads the outputs' bytes, hands them on or keeps them, and
// computes their digests.
func receiveContents(replies io.Reader, buffer *[]byte, o *Outcome, output func(string, int64) (io.Writer, error)) error {
	for i := range o.Outputs {
		f := &o.Outputs[i]
		w, err := o.writer(i, output)
		if err != nil {
			return fmt.Errorf("output %q: %w", f.Name, err)
		}
		hash := sha256.New()
		for left := f.Size; left > 0; {
			kind, payload, err := readReply(replies, buffer)
			if err != nil {
				return err
			}
			if kind != frameContent || len(payload) == 0 || int64(len(payload)) > left {
				return fmt.Errorf("%w: frame %q of %d bytes where %d of %q are missing", ErrBadReply, byte(kind), len(payload), left, f.Name)
			}
			hash.Write(payload)
			if _, err := w.Write(payload); err != nil {
				return fmt.Errorf("output %q: %w", f.Name, err)
			}
			left -= int64(len(payload))
		}
		f.Digest = task.Digest(hash.Sum(nil))
	}
	return nil
}

// writer is where the bytes of output i go.
func (o *Outcome) writer(i int, output func(string, int64) (io.Writer, error)) (io.Writer, error) {
	f := o.Outputs[i]
	if output != nil {
		return output(f.Name, f.Size)
	}
	o.Contents = append(o.Contents, make([]byte, 0, f.Size))
	return (*kept)(&o.Contents[i]), nil
}

// kept keeps what is written to it.
type kept []byte

func (k *kept) Write(b []byte) (int, error) {
	*k = append(*k, b...)
	return len(b), nil
}

// readReply reads a frame of the child's. Errors wrap ErrBadReply or errEnded.
func readReply(replies io.Reader, buffer *[]byte) (frameKind, []byte, error) {
	kind, payload, err := readFrame(replies, buffer)
	switch {
	case err == nil && (kind == frameRequest || kind == framePiece):
		return 0, nil, fmt.Errorf("%w: frame %q came back", ErrBadReply, byte(kind))
	case err == nil:
		return kind, payload, nil
	case errors.Is(err, errFrame):
		return 0, nil, fmt.Errorf("%w: %w", ErrBadReply, err)
	}
	return 0, nil, fmt.Errorf("%w: %w", errEnded, err) // cut short, or the pipe is gone
}
