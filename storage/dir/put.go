package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/sheafgrid/sheaf/internal/planted"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Put implements storage.Blobs.
func (s *Store) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := storage.CheckSize(digest, size, s.config.MaxBlob); err != nil {
		return err
	}
	room := maxFileSize(size)
	if err := s.usage.reserve(room); err != nil {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	defer s.usage.release(room)

	name := s.tempName()
	length, err := s.receive(ctx, name, header{digest: digest, size: size}, r)
	if err == nil {
		var shard [shards]bool
		shard[digest[0]] = true
		err = diskError(digest, s.makeShards(&shard))
	}
	if err == nil {
		err = s.publish(name, digest, length)
	}
	if err != nil {
		s.discard(name)
		return err
	}
	if planted.Is(planted.DropDirectorySync) {
		s.shards.show(digest)
		return nil
	}
	if err := s.synced(s.disk.syncDir(shardName(int(digest[0])))); err != nil {
		return diskError(digest, err)
	}
	s.shards.show(digest)
	return nil
}

func (s *Store) tempName() string {
	return tmpName + "/" + strconv.FormatUint(s.temp.Add(1), 10)
}

// discard removes a temporary file. Should that fail, Open does it later.
func (s *Store) discard(name string) { _ = s.disk.remove(name) }

// receive writes a blob's file, synced, from what r delivers. It returns the
// length of the file. Errors of the disk are told from those of r here, where
// they arise: a sender whose own disk is full does not fill ours.
func (s *Store) receive(ctx context.Context, name string, h header, r io.Reader) (int64, error) {
	f, err := s.disk.create(name)
	if err != nil {
		return 0, diskError(h.digest, err)
	}
	w := &writer{store: s, file: f, header: h, pending: h.append(nil), offset: headerSize}
	err = w.copy(ctx, storage.NewBody(h.digest, h.size, r))
	if err == nil {
		err = w.finish()
	}
	if e := f.Close(); err == nil && e != nil {
		err = diskError(h.digest, e)
	}
	return w.written, err
}

// writer writes one blob's file from the front to the back.
type writer struct {
	store   *Store
	file    file
	header  header
	pending []byte // goes before the next chunk
	offset  int64  // of the next chunk
	table   []byte
	index   int64
	written int64
}

// smallBuffer is how large a blob is, in bytes, that gets a buffer of its own and
// not one for a whole chunk.
const smallBuffer = 64 << 10

// copy writes all chunks of body. It holds a packer only while a chunk is
// compressed and written, never while it waits for the sender.
func (w *writer) copy(ctx context.Context, body *storage.Body) error {
	var buf []byte
	if w.header.size <= smallBuffer {
		buf = make([]byte, max(w.header.size, 1))
	} else {
		whole := w.store.buffers.Get().(*[storage.ChunkSize]byte)
		defer w.store.buffers.Put(whole)
		buf = whole[:]
	}
	for {
		chunk, err := body.Next(ctx, buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.chunk(ctx, chunk); err != nil {
			return err
		}
	}
}

func (w *writer) chunk(ctx context.Context, chunk []byte) error {
	k, err := w.store.packers.take(ctx)
	if err != nil {
		return fmt.Errorf("blob %s: %w", w.header.digest, err)
	}
	defer w.store.packers.give(k)
	k.out = append(k.out, w.pending...)
	w.pending = w.pending[:0]
	sum := w.header.digest // of a blob that is one chunk: body checks it before anyone sees the file
	if w.header.size > storage.ChunkSize {
		sum = task.Sum(chunk)
	}
	e, err := k.pack(chunk, sum, w.offset)
	if err != nil {
		return fmt.Errorf("blob %s: %w", w.header.digest, err)
	}
	w.table = e.append(w.table, w.header.digest, w.index)
	w.offset += int64(e.length)
	w.index++
	return w.write(k.out)
}

// finish writes the table and waits until all is on the disk.
func (w *writer) finish() error {
	if err := w.write(append(w.pending, w.table...)); err != nil {
		return err
	}
	return diskError(w.header.digest, w.store.synced(w.file.Sync()))
}

func (w *writer) write(b []byte) error {
	n, err := w.file.Write(b)
	w.written += int64(n)
	return diskError(w.header.digest, err)
}
