package histories_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net/http"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/coordinator/histories"
	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// inMemory is a cluster of coordinatortest as a history sees it.
type inMemory struct{ *coordinatortest.Cluster }

// Nodes is how many there have been.
func (c inMemory) Nodes() int { return len(c.URLs()) }

// Do sends one request.
func (c inMemory) Do(ctx context.Context, node int, method, path string, body []byte, header map[string]string) ([]byte, error) {
	urls := c.URLs()
	return send(ctx, c.Client(), method, urls[node%len(urls)]+path, body, header)
}

func send(ctx context.Context, client *http.Client, method, url string, body []byte, header map[string]string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 && res.Header.Get("Content-Type") != protocol.ContentType {
		err = &histories.Status{Code: res.StatusCode, Text: res.Status + ": " + string(bytes.TrimSpace(b))}
	}
	return b, err
}

func program(t *testing.T) []byte {
	t.Helper()
	b, err := fs.ReadFile(examples.Files(), "primes/count.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// clusterID is that of every cluster of coordinatortest.
var clusterID = task.ClusterID{0xc1}
