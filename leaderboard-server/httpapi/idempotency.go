package httpapi

import (
	"net/http"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const idempotencyHeader = "Idempotency-Key"

// idempotencyKey reads the header: a structured-field string (RFC 9651, section
// 3.3.3), or a bare text. Both spellings of a key are the same key. Empty: the
// header is not there.
func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values(idempotencyHeader)
	if len(values) == 0 {
		return "", nil
	}

	wrong := func(message string) error {
		return invalidFields([]FieldError{{Field: idempotencyHeader, Message: message}})
	}
	if len(values) > 1 {
		return "", wrong("Idempotency-Key is there more than once")
	}

	key := strings.Trim(values[0], " \t")
	if strings.HasPrefix(key, `"`) {
		var ok bool
		if key, ok = unquote(key); !ok {
			return "", wrong(`Idempotency-Key must be text in double quotes with \" and \\ as the only escapes, or bare text`)
		}
	}

	if key == "" || len(key) > leaderboard.MaxIdempotencyKey {
		return "", wrong("Idempotency-Key must have 1 to 255 characters")
	}

	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return "", wrong("Idempotency-Key must be printable ASCII")
		}
	}

	return key, nil
}

// unquote reads a structured-field string.
func unquote(s string) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}

	return "", false
}
