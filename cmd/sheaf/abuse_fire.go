package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// shooters is how many bad requests are on their way at a time, at most.
const shooters = 32

// shotLimit is how long one may take: longer than a body may stand still.
const shotLimit = 45 * time.Second

// fire sends bad requests of all kinds in turn at the rate that was asked for,
// fewer where too many are on their way.
func (t *attacker) fire(ctx context.Context, kinds map[string]func() shot) {
	if t.Bad == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(kinds))
	tick := time.NewTicker(time.Duration(float64(time.Second) / t.Bad))
	defer tick.Stop()
	var flying sync.WaitGroup
	defer flying.Wait()
	room := make(chan struct{}, shooters)
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case <-ctx.Done():
			return
		case room <- struct{}{}:
		}
		name, n := names[i%len(names)], t.Nodes[(i/len(names))%len(t.Nodes)]
		flying.Go(func() {
			defer func() { <-room }()
			t.one(ctx, name, kinds[name](), n)
		})
	}
}

// one sends a bad request and counts its answer.
func (t *attacker) one(ctx context.Context, kind string, s shot, n attackedNode) {
	conn, err := t.dial(ctx, hold{inner: s.inner, tls: s.inner}, n)
	if err != nil {
		if ctx.Err() == nil {
			t.answered(kind, "not let in")
		}
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(shotLimit))
	sent := make(chan struct{})
	go func() { // an answer may come before all is sent
		defer close(sent)
		s.send(conn)
	}()
	answer, accepted := s.answer(conn)
	_ = conn.Close()
	<-sent
	if ctx.Err() != nil && answer == "closed" {
		return // we did
	}
	if accepted {
		t.mu.Lock()
		if t.result.Accepted++; t.result.Accepted <= 5 {
			t.result.Trouble = append(t.result.Trouble, fmt.Sprintf("%s was accepted: %s", kind, answer))
		}
		t.mu.Unlock()
	}
	t.answered(kind, answer)
}

// send sends the request; the other side may close at any moment.
func (s *shot) send(conn net.Conn) {
	w := bufio.NewWriter(conn)
	if s.length >= 0 {
		length := s.length
		if length == 0 {
			length = int64(len(s.body))
		}
		_, _ = io.WriteString(w, requestHead(s.method, s.path, s.header, length))
		_, _ = w.Write(s.body)
		_ = w.Flush()
		return
	}
	_, _ = io.WriteString(w, requestHead(s.method, s.path, http.Header{"Transfer-Encoding": {"chunked"}}, 0))
	for chunk := make([]byte, 64<<10); ; {
		if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", len(chunk), chunk); err != nil {
			return
		}
	}
}

// answer reads the answer and says it in a few words: the status, and the code
// of the refusal.
func (s *shot) answer(conn net.Conn) (words string, accepted bool) {
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "closed", false
	}
	defer res.Body.Close()
	words = fmt.Sprint(res.StatusCode)
	body, err := io.ReadAll(io.LimitReader(res.Body, protocol.MaxReply))
	if err == nil {
		if code := refusalIn(body); code != protocol.CodeOK {
			words += " " + code.String()
		}
	}
	return words, res.StatusCode < 300
}

// refusalIn is the code of the refusal in an answer, if there is one.
func refusalIn(body []byte) protocol.Code {
	var e protocol.Error
	if json.Unmarshal(body, &e) == nil {
		return e.Code
	}
	if r, err := protocol.DecodeReply(body); err == nil && r.Error != nil {
		return r.Error.Code
	}
	return protocol.CodeOK
}
