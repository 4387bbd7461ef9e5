package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// tellAllowances sets the headers that say what limits leave (draft-ietf-httpapi-ratelimit-headers-09),
// where there are any: a limit without an end has no w, and what never comes back no t.
func tellAllowances(w http.ResponseWriter, left []leaderboard.Allowance) {
	if len(left) == 0 {
		return
	}

	var policy, limit []byte
	for i, a := range left {
		if i > 0 {
			policy, limit = append(policy, ", "...), append(limit, ", "...)
		}
		policy = appendItem(policy, a.Limit, ";q=", a.Quota, ";w=", a.Window)
		limit = appendItem(limit, a.Limit, ";r=", a.Remaining, ";t=", a.Reset)
	}
	w.Header().Set("RateLimit-Policy", string(policy))
	w.Header().Set("RateLimit", string(limit))
}

// appendItem appends a limit with how many, and the time in whole seconds where there is one. Names
// of limits are those of windows at most, which need no escape.
func appendItem(list []byte, name, count string, n int, seconds string, d time.Duration) []byte {
	list = append(append(append(list, '"'), name...), '"')
	list = strconv.AppendInt(append(list, count...), int64(n), 10)
	if d > 0 {
		list = strconv.AppendInt(append(list, seconds...), wholeSeconds(d), 10)
	}
	return list
}

// wholeSecondsOf is a time that may be missing.
func wholeSecondsOf(d time.Duration) *int {
	if d <= 0 {
		return nil
	}
	seconds := int(wholeSeconds(d))
	return &seconds
}

// describeLimits is what a board says of its limits; nil: it has none.
func describeLimits(l leaderboard.Limits) *BoardLimits {
	if !l.Any() {
		return nil
	}

	limits := &BoardLimits{CooldownSeconds: wholeSecondsOf(l.Cooldown)}
	if l.PerMinute > 0 {
		limits.PerMinute = &l.PerMinute
	}
	if len(l.Attempts) > 0 {
		attempts := make([]BoardAttempts, len(l.Attempts))
		for i, a := range l.Attempts {
			attempts[i] = BoardAttempts{Window: a.Window, Max: a.Max}
		}
		limits.Attempts = &attempts
	}
	return limits
}
