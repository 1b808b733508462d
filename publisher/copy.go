package publisher

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/task"
)

// hashRange is the digest of a part of a file. A part that ends early is
// io.ErrUnexpectedEOF.
func hashRange(ctx context.Context, r io.ReaderAt, offset, size int64) (task.Digest, error) {
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, reading(ctx, io.NewSectionReader(r, offset, size)), make([]byte, min(copyBuffer, max(1, size))))
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return task.Digest(sum.Sum(nil)), err
}

// copyChecked copies one output from a coordinator, and makes sure that it is
// what the result lists. moved is told of bytes as they pass.
func copyChecked(ctx context.Context, to io.Writer, from io.Reader, want *task.OutputFile, moved func(int64)) error {
	sum := sha256.New()
	buf := make([]byte, min(copyBuffer, want.Size+1))
	for left := want.Size; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := from.Read(buf)
		if left -= int64(n); left < 0 {
			return wrongAnswer("more than the %d bytes of the file came", want.Size)
		}
		sum.Write(buf[:n])
		if _, e := to.Write(buf[:n]); e != nil {
			return e
		}
		moved(int64(n))
		switch {
		case err == io.EOF && left > 0:
			return wrongAnswer("%d bytes of %d came", want.Size-left, want.Size)
		case err == io.EOF:
			if got := task.Digest(sum.Sum(nil)); got != want.Digest {
				return wrongAnswer("the bytes that came have digest %s, the result says %s", got, want.Digest)
			}
			return nil
		case err != nil:
			return fmt.Errorf("download: %w", err)
		}
	}
}
