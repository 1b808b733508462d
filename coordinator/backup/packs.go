package backup

import (
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
)

// readPack reads the pack of a chunk, however large it is: it keeps one task's
// list, or one output, at a time. lists are what the sheaf says of each task, zero
// for one that ended failed; that everything in the pack is what it is there for
// is checked. found is given each list.
func readPack(r io.Reader, lists []task.Digest, found func(list task.OutputList)) error {
	header := make([]byte, sheaves.PackPrefix)
	if _, err := io.ReadFull(r, header); err != nil {
		return fmt.Errorf("%w: %w", sheaves.ErrBadPack, err)
	}
	size, err := sheaves.PackHeaderSize(header)
	if err != nil {
		return err
	}
	rest, err := readPart(r, int64(size-len(header)), task.Digest{})
	if err != nil {
		return err
	}
	index, err := sheaves.DecodePackHeader(append(header, rest...))
	if err != nil {
		return err
	}
	for k, digest := range lists {
		_, part := index.Part(uint64(k))
		if digest.IsZero() {
			continue
		}
		b, err := readPart(r, int64(part.List), digest)
		if err != nil {
			return fmt.Errorf("task %d of the chunk: %w", k, err)
		}
		list, err := task.DecodeOutputList(b)
		if err != nil {
			return fmt.Errorf("task %d of the chunk: %w", k, err)
		}
		for _, f := range list {
			if f.Size > sheaves.MaxPacked {
				continue
			}
			if _, err := readPart(r, f.Size, f.Digest); err != nil {
				return fmt.Errorf("task %d of the chunk: %w", k, err)
			}
		}
		found(list)
	}
	return nil
}

// readPart reads so many bytes, and compares them with a digest unless that is
// zero.
func readPart(r io.Reader, size int64, digest task.Digest) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, size))
	if err == nil && int64(len(b)) < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sheaves.ErrBadPack, err)
	}
	if got := task.Sum(b); !digest.IsZero() && got != digest {
		return nil, fmt.Errorf("%w: %d bytes in it have digest %s instead of %s", sheaves.ErrBadPack, size, got, digest)
	}
	return b, nil
}
