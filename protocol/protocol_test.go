package protocol_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"testing"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

var cluster = task.ClusterID{1, 2, 3}

func privateKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func exchange() protocol.Exchange {
	return protocol.Exchange{
		Reports: []protocol.Report{
			{Attempt: 1 << 40, Task: task.Digest{1}, Exit: 3, Work: 1 << 50, Outputs: []byte("list"), Inline: [][]byte{[]byte("a"), {}}},
			{Attempt: 2, Failure: protocol.FailureWall, Note: "too slow"},
		},
		Held: []task.AttemptID{3, 4}, Want: 8, Allow: []string{"science"},
		Facts: protocol.HostFacts{Client: "1", OS: "linux", Arch: "amd64", Cores: 2, Memory: 1 << 30},
	}
}

func envelope(key ed25519.PrivateKey) *protocol.Envelope {
	e := &protocol.Envelope{
		Version: protocol.Version, Cluster: cluster, Session: 5, Opened: 6, Number: 7,
		Purpose: protocol.PurposeExchange, Payload: wire.Marshal(exchange()),
	}
	e.Sign(key)
	return e
}

func TestEnvelopeArrives(t *testing.T) {
	sent := envelope(privateKey(1))
	got, err := protocol.OpenEnvelope(sent.Encode(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Encode(), sent.Encode()) || got.Sum() != sent.Sum() {
		t.Errorf("sent %+v, got %+v", sent, got)
	}
	var x protocol.Exchange
	if err := got.Decode(&x); err != nil {
		t.Fatal(err)
	}
	if want := exchange(); !reflect.DeepEqual(x, want) {
		t.Errorf("sent %+v, got %+v", want, x)
	}
}

func TestEnvelopeIsRefused(t *testing.T) {
	mine, theirs := privateKey(1), privateKey(2)
	for name, c := range map[string]struct {
		change func(*protocol.Envelope)
		want   protocol.Code
	}{
		"another payload":   {func(e *protocol.Envelope) { e.Payload[0] ^= 1 }, protocol.CodeBadSignature},
		"another number":    {func(e *protocol.Envelope) { e.Number++ }, protocol.CodeBadSignature},
		"another session":   {func(e *protocol.Envelope) { e.Session++ }, protocol.CodeBadSignature},
		"another time":      {func(e *protocol.Envelope) { e.Opened++ }, protocol.CodeBadSignature},
		"another purpose":   {func(e *protocol.Envelope) { e.Purpose = protocol.PurposeEnrol }, protocol.CodeBadSignature},
		"somebody's key":    {func(e *protocol.Envelope) { e.Key = protocol.PublicKey(theirs) }, protocol.CodeBadSignature},
		"no signature":      {func(e *protocol.Envelope) { e.Signature = nil }, protocol.CodeBadSignature},
		"another cluster":   {func(e *protocol.Envelope) { e.Cluster[0]++; e.Sign(mine) }, protocol.CodeWrongCluster},
		"number 0":          {func(e *protocol.Envelope) { e.Number = 0; e.Sign(mine) }, protocol.CodeMalformed},
		"no purpose":        {func(e *protocol.Envelope) { e.Purpose = 0; e.Sign(mine) }, protocol.CodeMalformed},
		"a purpose to come": {func(e *protocol.Envelope) { e.Purpose = 200; e.Sign(mine) }, protocol.CodeMalformed},
		"a version to come": {func(e *protocol.Envelope) { e.Version++; e.Sign(mine) }, protocol.CodeVersion},
	} {
		e := envelope(mine)
		c.change(e)
		if _, err := protocol.OpenEnvelope(e.Encode(), cluster); !protocol.HasCode(err, c.want) {
			t.Errorf("%s: got %v, want code %d", name, err, c.want)
		}
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("GET / HTTP/1.1"), "a reply": (&protocol.Reply{}).Encode(), "too large": make([]byte, protocol.MaxEnvelope+100),
	} {
		if _, err := protocol.OpenEnvelope(b, cluster); !protocol.HasCode(err, protocol.CodeMalformed) {
			t.Errorf("%s: got %v, want malformed", name, err)
		}
	}
}

func TestReplyArrives(t *testing.T) {
	for _, sent := range []*protocol.Reply{
		{Error: protocol.Refuse(protocol.CodeOverloaded, "later")},
		{Done: &protocol.Done{Job: task.JobID{1}, Existed: true, Time: 9}},
		{Exchange: &protocol.ExchangeReply{
			Acks: []protocol.Ack{protocol.AckAccepted, protocol.AckGone}, Reason: task.ReasonNoJobs, NextMillis: 5000, Time: 1,
			Attempts: []protocol.Attempt{{ID: 1, Task: task.Task{Args: []string{"x"}}, Version: protocol.Signed{Project: "p", Signature: []byte{1}}}},
			Members:  []protocol.Member{{Node: "a", URL: "http://127.0.0.1:1"}}, Leader: "a",
		}},
	} {
		got, err := protocol.DecodeReply(sent.Encode())
		if err != nil || !reflect.DeepEqual(got, sent) {
			t.Errorf("sent %+v, got %+v, %v", sent, got, err)
		}
	}
}

func TestSpecTravelsWhole(t *testing.T) {
	s := &task.JobSpec{
		Program: task.Digest{1}, Meter: 1, Args: []string{"{a}"}, Inputs: []task.Input{{Path: "x", Blob: task.Digest{2}, Size: 3}},
		Split: task.Split{Kind: task.SplitGrid, Grid: []task.Axis{{Name: "a", Values: []string{"1", "2"}}}},
		Check: task.Check{Replicate: 2, MaxAttempts: 5}, Seed: 4, Collect: task.CollectFiles,
		Limits: task.Limits{Work: 1, Memory: task.WasmPage, Output: 1, Wall: 1000, Deadline: 1000},
	}
	s.Reduce = &task.Reduce{Program: task.Digest{5}, Meter: 1, FanIn: 2, Limits: s.Limits}
	got, err := protocol.DecodeSpec(protocol.EncodeSpec(s))
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("sent %+v, got %+v, %v", s, got, err)
	}
	s.Check.Replicate = 0
	if _, err := protocol.DecodeSpec(protocol.EncodeSpec(s)); !protocol.HasCode(err, protocol.CodeInvalid) {
		t.Errorf("an impossible check: %v", err)
	}
	if _, err := protocol.DecodeSpec(make([]byte, protocol.MaxSpec+1)); !protocol.HasCode(err, protocol.CodeTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// A signature made for one thing is good for nothing else.
func TestSignaturesDoNotTravel(t *testing.T) {
	key := privateKey(1)
	pub := protocol.PublicKey(key)
	d := task.Sum([]byte("x"))
	cert := protocol.Certify(key, task.Key(d))
	version := protocol.SignVersion(key, "p", "a", d, 1)
	upload := protocol.SignUpload(key, cluster, d)
	read := protocol.SignRead(key, cluster, "/v1/jobs/x", 5)
	if !protocol.VerifyCertificate(pub, task.Key(d), cert) || !protocol.VerifyVersion(pub, "p", "a", d, 1, version) ||
		!protocol.VerifyUpload(pub, cluster, d, upload) || !protocol.VerifyRead(pub, cluster, "/v1/jobs/x", 5, read) {
		t.Fatal("a good signature does not verify")
	}
	for name, ok := range map[string]bool{
		"version for another app":     protocol.VerifyVersion(pub, "p", "b", d, 1, version),
		"version for another meter":   protocol.VerifyVersion(pub, "p", "a", d, 2, version),
		"upload as certificate":       protocol.VerifyCertificate(pub, task.Key(d), upload),
		"certificate as upload":       protocol.VerifyUpload(pub, cluster, d, cert),
		"upload to another cluster":   protocol.VerifyUpload(pub, task.ClusterID{9}, d, upload),
		"another path":                protocol.VerifyRead(pub, cluster, "/v1/jobs/y", 5, read),
		"another time":                protocol.VerifyRead(pub, cluster, "/v1/jobs/x", 6, read),
		"a signature that is garbage": protocol.VerifyUpload(pub, cluster, d, protocol.DecodeSignature("!!")),
	} {
		if ok {
			t.Errorf("%s verifies", name)
		}
	}
}

func TestErrorsKeepTheirCode(t *testing.T) {
	e := protocol.Refuse(protocol.CodeNoSpace, "disk of %s is full", "n1")
	wrapped := errors.Join(errors.New("upload"), e)
	if protocol.AsError(wrapped) != e || !protocol.HasCode(wrapped, protocol.CodeNoSpace) || !e.Temporary() {
		t.Error("the refusal was lost in wrapping")
	}
	if protocol.AsError(errors.New("x")).Code != protocol.CodeInternal || protocol.AsError(nil) != nil {
		t.Error("an error without a code is a fault of the coordinator")
	}
	for c := protocol.CodeOK; c <= protocol.CodeInternal; c++ {
		if s := c.HTTPStatus(); s < 200 || s > 599 || (c != protocol.CodeOK && c != protocol.CodeInternal && s == 500) {
			t.Errorf("code %d has status %d", c, s)
		}
	}
}

func FuzzOpenEnvelope(f *testing.F) {
	f.Add(envelope(privateKey(1)).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := protocol.OpenEnvelope(b, cluster)
		if err != nil {
			return
		}
		var x protocol.Exchange
		_ = e.Decode(&x)
	})
}

func FuzzDecodeReply(f *testing.F) {
	f.Add((&protocol.Reply{Done: &protocol.Done{Time: 1}}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = protocol.DecodeReply(b) })
}
