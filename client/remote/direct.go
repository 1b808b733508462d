package remote

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/sheafgrid/sheaf/protocol"
)

// directURL checks a URL of another server that a coordinator names for a blob.
// One on this machine, or on its link, is called only if a coordinator is there,
// too: nobody outside shall make this machine talk to itself.
func (r *Remote) directURL(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || len(text) > 8<<10 {
		return "", false
	}
	if kind := local(u.Hostname()); kind != "" && !r.configured(kind) || kind != "loopback" && r.cfg.LoopbackOnly {
		return "", false
	}
	return text, true
}

// elsewhere sends a request to another server, over connections of its own.
func (r *Remote) elsewhere(req *http.Request) (*http.Response, error) {
	return r.lines.client(protocol.Address{Base: req.URL.Scheme + "://" + req.URL.Host}).Do(req)
}

// follow reads from the place that a coordinator's answer names, by the same
// range. What comes is verified by the caller as what a coordinator sends.
func (d *download) follow(ctx context.Context, at protocol.Address, redirect *http.Response, header http.Header) (*http.Response, error) {
	defer drain(redirect.Body)
	d.indirect = true // if this fails, the coordinator sends it itself
	target, ok := d.remote.directURL(redirect.Header.Get("Location"))
	if !ok {
		return nil, fmt.Errorf("%w from %s: it names a place that must not be called", ErrMalformed, at.Base)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("%w from %s: it names a place that cannot be called", ErrMalformed, at.Base)
	}
	for _, k := range []string{"Range", "Accept-Encoding"} {
		if v := header.Get(k); v != "" {
			req.Header.Set(k, v)
		}
	}
	resp, err := d.remote.elsewhere(req)
	if err != nil {
		return nil, unreachable(at.Base, hideQuery(err))
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		drain(resp.Body)
		return nil, unreachable(at.Base, fmt.Errorf("the server of its blobs answers %s", resp.Status))
	}
	d.indirect = false
	return resp, nil
}

// hideQuery takes a signed URL out of an error.
func hideQuery(err error) error {
	if u, ok := err.(*url.Error); ok { //nolint:errorlint // net/http returns it bare
		return u.Err
	}
	return err
}

// direct sends the whole blob to a URL that the coordinator signed, and has the
// coordinator take it from there. It reports whether the blob is stored; if not,
// the coordinator takes it itself.
func (u *upload) direct(ctx context.Context, target string) bool {
	target, ok := u.remote.directURL(target)
	if !ok {
		return false
	}
	content, err := u.open()
	if err != nil {
		return false
	}
	defer content.Close()
	sending, dog, stop := watch(ctx, stallTimeout)
	defer stop()
	body := &plainReader{r: content, left: u.size, dog: dog, settle: settleTimeout}
	req, err := http.NewRequestWithContext(sending, http.MethodPut, target, body)
	if err != nil {
		return false
	}
	req.ContentLength = u.size
	resp, err := u.remote.elsewhere(req)
	if err != nil {
		return false
	}
	drain(resp.Body)
	if resp.StatusCode/100 != 2 {
		return false
	}
	return u.sent(ctx)
}

// sent tells the coordinator that the blob is where it said.
func (u *upload) sent(ctx context.Context) bool {
	ctx, _, stop := watch(ctx, u.settleTime())
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.url, http.NoBody)
	if err != nil {
		return false
	}
	req.Header = u.header.Clone()
	req.Header.Del("Content-Encoding")
	req.Header.Set(protocol.HeaderOffset, "0")
	req.Header.Set(protocol.HeaderDirect, protocol.DirectSent)
	resp, err := u.remote.roundTrip(u.at, req)
	if err != nil {
		return false
	}
	drain(resp.Body)
	return resp.StatusCode == http.StatusNoContent
}
