package peers_test

import (
	"crypto/tls"
	"errors"
	"io"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/peers"
)

// speakRaft calls a node's raft side with any certificate, or none.
func speakRaft(n *node, c *tls.Certificate) error {
	cfg := &tls.Config{NextProtos: []string{"sheaf-raft/1"}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	if c != nil {
		cfg.Certificates = []tls.Certificate{*c}
	}
	conn, err := tls.Dial("tcp", n.address(), cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = say(conn, "hello")
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return err
}

func FuzzDecodeKey(f *testing.F) {
	key, err := peers.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	der, err := peers.EncodeKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add(der[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := peers.DecodeKey(b)
		if err != nil {
			return
		}
		if _, err := peers.NewAuthority(key); err != nil {
			t.Errorf("a key that was read makes no authority: %v", err)
		}
	})
}
