package publisher

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/sheafgrid/sheaf/task"
)

// errNotWhole is what wholeNumber says of a number that it can read but that
// has a fraction.
var errNotWhole = errors.New("it is not a whole number")

// maxNumberText bounds a number as it is written; 64 bits need 20 digits.
const maxNumberText = 64

// splitUnit takes a number off the front of s: digits with single underscores
// between them, a fraction, an exponent. What follows is the unit.
func splitUnit(s string) (number, unit string) {
	i := 0
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		i = 1
	}
	for i < len(s) && (digit(s[i]) || s[i] == '_' || s[i] == '.') {
		i++
	}
	if k := i + 1; i > 0 && i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		if k < len(s) && (s[k] == '+' || s[k] == '-') {
			k++
		}
		if k < len(s) && digit(s[k]) {
			for k < len(s) && digit(s[k]) {
				k++
			}
			i = k
		}
	}
	return s[:i], strings.TrimSpace(s[i:])
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// wholeNumber is the number that s spells, times scale, if that is exactly a
// whole one. It takes 250, -3, 1_000_000, 1e9 and 1.5e3.
func wholeNumber(s string, scale uint64) (*big.Int, error) {
	if len(s) > maxNumberText {
		return nil, fmt.Errorf("it is written with %d characters, at most %d are read", len(s), maxNumberText)
	}
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		var err error
		if exponent, err = strconv.Atoi(s[i+1:]); err != nil || exponent < -40 || exponent > 40 {
			return nil, errors.New("it is no number, or out of range")
		}
	}
	negative := strings.HasPrefix(mantissa, "-")
	if negative || strings.HasPrefix(mantissa, "+") {
		mantissa = mantissa[1:]
	}
	whole, fraction, dot := strings.Cut(mantissa, ".")
	if !plainDigits(whole) || dot && !plainDigits(fraction) {
		return nil, errors.New("it is no number")
	}
	if len(whole) > 1 && whole[0] == '0' {
		return nil, errors.New("write it without zeros in front")
	}
	digits := strings.ReplaceAll(whole+fraction, "_", "")
	exponent -= len(strings.ReplaceAll(fraction, "_", ""))
	v, _ := new(big.Int).SetString(digits, 10)
	v.Mul(v, new(big.Int).SetUint64(scale))
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exponent, -exponent))), nil)
	if exponent >= 0 {
		v.Mul(v, ten)
	} else {
		rest := new(big.Int)
		if v.QuoRem(v, ten, rest); rest.Sign() != 0 {
			return nil, errNotWhole
		}
	}
	if negative {
		v.Neg(v)
	}
	return v, nil
}

// plainDigits accepts digits with single underscores between them.
func plainDigits(s string) bool {
	for i := range len(s) {
		between := i > 0 && i < len(s)-1 && s[i-1] != '_'
		if !digit(s[i]) && (s[i] != '_' || !between) {
			return false
		}
	}
	return s != ""
}

// workUnits are decimal: work is a count.
var workUnits = map[string]uint64{"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}

// ParseWork reads counted instructions, such as 20G.
func ParseWork(s string) (uint64, error) {
	number, unit := splitUnit(s)
	scale, ok := workUnits[unit]
	if !ok {
		return 0, fmt.Errorf("%q is no unit of work; known are k, M, G, T and P", unit)
	}
	return unsigned64(number, scale)
}

var byteUnits = map[string]uint64{
	"": 1, "B": 1,
	"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// ParseBytes reads a size, such as 64MiB.
func ParseBytes(s string) (uint64, error) {
	number, unit := splitUnit(s)
	scale, ok := byteUnits[unit]
	if !ok {
		if u := strings.ToUpper(unit); u == "K" || u == "M" || u == "G" || u == "T" {
			return 0, fmt.Errorf("%s could mean two sizes; write %s%siB (powers of 1024) or %s%sB (powers of 1000)", s, number, u, number, u)
		}
		return 0, fmt.Errorf("%q is no unit of bytes; known are KiB, MiB, GiB and kB, MB, GB", unit)
	}
	return unsigned64(number, scale)
}

// ParseMemory is ParseBytes for memory, which comes in pages.
func ParseMemory(s string) (uint64, error) {
	n, err := ParseBytes(s)
	if err == nil && n%task.WasmPage != 0 {
		up := (n/task.WasmPage + 1) * task.WasmPage
		return 0, fmt.Errorf("%s is %d bytes, and a program's memory comes in pages of 64 KiB; write %dKiB, or a round number of MiB", s, n, up>>10)
	}
	return n, err
}

func unsigned64(number string, scale uint64) (uint64, error) {
	v, err := wholeNumber(number, scale)
	if err != nil {
		return 0, err
	}
	if !v.IsUint64() {
		return 0, fmt.Errorf("it is out of range: 0 to %d", uint64(1<<64-1))
	}
	return v.Uint64(), nil
}

var timeUnits = map[string]uint64{"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 24 * 3_600_000}

// parseDuration reads a time, such as 10m, 1h30m or 2d.
func parseDuration(s string) (task.Millis, error) {
	if s == "" {
		return 0, errors.New("it is empty")
	}
	total := new(big.Int)
	for rest := s; rest != ""; {
		i := strings.IndexFunc(rest, func(c rune) bool { return c >= 'a' && c <= 'z' })
		if i < 0 {
			return 0, fmt.Errorf("%q has no unit; write %ss for seconds, or use m, h or d", clip(rest), clip(rest))
		}
		end := i
		for end < len(rest) && rest[end] >= 'a' && rest[end] <= 'z' {
			end++
		}
		scale, ok := timeUnits[rest[i:end]]
		if !ok {
			return 0, fmt.Errorf("%q is no unit of time; known are ms, s, m, h and d", clip(rest[i:end]))
		}
		v, err := wholeNumber(rest[:i], scale)
		if errors.Is(err, errNotWhole) {
			return 0, errors.New("it is finer than a millisecond")
		}
		if err != nil {
			return 0, err
		}
		total.Add(total, v)
		rest = rest[end:]
	}
	if !total.IsInt64() || total.Sign() < 0 {
		return 0, errors.New("it is out of range")
	}
	return task.Millis(total.Int64()), nil
}

// clip keeps an error message short whatever somebody typed.
func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
