package identity

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sheafgrid/sheaf/protocol"
)

// The words that begin the lines of a key file.
const (
	wordForm   = "sheaf-key-1"
	wordPublic = "public"
	wordSecret = "secret"
)

// encode is a key as its file holds it. The public half is there for people,
// and to notice a secret half that was changed.
func encode(key ed25519.PrivateKey, kind Kind) []byte {
	remark := "Whoever holds this file can act as this machine."
	if kind == Account {
		remark = "Whoever holds this file is you: keep it secret, and keep a copy in a safe place."
	}
	public := protocol.PublicKey(key)
	return fmt.Appendf(nil, "# %s\n# Public name: %s\n%s %s\n%s %s\n%s %s\n",
		remark, Name(public), wordForm, kind, wordPublic, public,
		wordSecret, base64.RawURLEncoding.EncodeToString(key.Seed()))
}

// decode reads what encode wrote: each word once, lines that begin with # and
// empty lines left out.
func decode(b []byte, kind Kind) (ed25519.PrivateKey, error) {
	if len(b) > maxFile || !utf8.Valid(b) {
		return nil, errors.New("it is not a text of a few lines")
	}
	values := map[string]string{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, value, _ := strings.Cut(line, " ")
		if _, twice := values[word]; twice {
			return nil, fmt.Errorf("the line %.20q stands twice", word)
		}
		values[word] = strings.TrimSpace(value)
	}
	form, ok := values[wordForm]
	switch {
	case !ok:
		return nil, errors.New("it is no key file of this version of Sheaf")
	case form != string(kind):
		return nil, fmt.Errorf("it holds a key of kind %.20q where the %s key belongs", form, kind)
	case len(values) != 3:
		return nil, fmt.Errorf("it has %d lines, want 3: %s, %s and %s", len(values), wordForm, wordPublic, wordSecret)
	}
	seed, err := base64.RawURLEncoding.Strict().DecodeString(values[wordSecret])
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("its secret half is cut short or was changed")
	}
	key := ed25519.NewKeyFromSeed(seed)
	if protocol.PublicKey(key).String() != values[wordPublic] {
		return nil, errors.New("its two halves do not belong together, so one of them was changed")
	}
	return key, nil
}
