package coordinator

import (
	"crypto/ecdsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// pemKey is the type of the PEM block that the key file holds.
const pemKey = "PRIVATE KEY"

// maxKeyFile bounds the file, in bytes; one that this program wrote has 241.
const maxKeyFile = 16 << 10

func nodeKeyFile(cfg *Config) string { return filepath.Join(cfg.Dir, "node.key") }

// nodeKey reads the key that proves to its peers which node this is, or draws
// it. It lies in a file of its own, since it must be there before the node
// joins: one that was let in and died before it heard so asks again, with the
// same key, and is known by it.
func nodeKey(cfg *Config) (*ecdsa.PrivateKey, error) {
	path := nodeKeyFile(cfg)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return newNodeKey(cfg, path)
	case err != nil:
		return nil, fmt.Errorf("the node's key: %w", err)
	case info.Size() > maxKeyFile:
		return nil, fmt.Errorf("%s: %d bytes are no key", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the node's key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemKey {
		return nil, fmt.Errorf("%s: there is no PEM block %q in it; put its copy back", path, pemKey)
	}
	key, err := peers.DecodeKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; put its copy back", path, err)
	}
	return key, nil
}

func newNodeKey(cfg *Config, path string) (*ecdsa.PrivateKey, error) {
	if id, err := readIdentity(cfg); err == nil {
		return nil, lostPart(cfg, id, fmt.Errorf("there is no file %s", path))
	}
	key, err := peers.NewKey()
	if err != nil {
		return nil, fmt.Errorf("drawing the node's key: %w", err)
	}
	return key, writeNodeKey(path, key)
}

func writeNodeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := peers.EncodeKey(key)
	if err != nil {
		return fmt.Errorf("the node's key: %w", err)
	}
	return fsutil.WriteFileAtomic(path, pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), 0o600)
}
