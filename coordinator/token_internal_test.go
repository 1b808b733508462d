package coordinator

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

func FuzzParseToken(f *testing.F) {
	secret := bytes.Repeat([]byte{7}, 32)
	genuine := sealToken(secret, joinToken{Expires: 1_900_000_000, Number: 42, Authority: task.Sum(nil)})
	f.Add(genuine.String())
	f.Add(genuine.String()[:40])
	f.Add(tokenPrefix)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseToken(text)
		if err != nil {
			if !errors.Is(err, errToken) {
				t.Errorf("%q: got %v, want errToken", text, err)
			}
			return
		}
		if again, err := parseToken(got.String()); err != nil || again != got {
			t.Errorf("%q: read again it is %+v, %v; want %+v", text, again, err, got)
		}
		if got.genuine(secret) != (got == genuine) {
			t.Errorf("%q is taken for genuine: %t", text, got.genuine(secret))
		}
	})
}
