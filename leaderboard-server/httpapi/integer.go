package httpapi

import (
	"errors"
	"strconv"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

var (
	errFraction = errors.New("the number has a fraction")
	errTooLarge = errors.New("the number is too large")
)

// parseInteger returns the integer that a JSON number is, however it is written: 100.0 and
// 1e2 are 100 (RFC 8259, section 6), and some engines write all their numbers so. Nothing
// is rounded.
func parseInteger(number string) (int64, error) {
	number, negative := strings.CutPrefix(number, "-")
	mantissa, exponentText, _ := strings.Cut(strings.ReplaceAll(number, "E", "e"), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")

	all := strings.TrimLeft(whole+fraction, "0")
	digits := strings.TrimRight(all, "0")
	if digits == "" {
		return 0, nil
	}

	exponent := int64(0)
	if exponentText != "" {
		// Of one that does not fit, the nearest that does: it has the same outcome.
		exponent, _ = strconv.ParseInt(exponentText, 10, 32)
	}

	zeros := exponent - int64(len(fraction)) + int64(len(all)-len(digits))
	const most = 16 // digits of leaderboard.MaxScore
	switch {
	case zeros < 0:
		return 0, errFraction
	case int64(len(digits))+zeros > most:
		return 0, errTooLarge
	}

	value, err := strconv.ParseInt(digits+strings.Repeat("0", int(zeros)), 10, 64)
	if err != nil || value > leaderboard.MaxScore {
		return 0, errTooLarge
	}
	if negative {
		value = -value
	}
	return value, nil
}
