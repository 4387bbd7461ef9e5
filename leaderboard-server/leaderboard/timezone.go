package leaderboard

import (
	"strings"
	"time"
	_ "time/tzdata" // images have no zones
	"unicode"
)

// LoadTimeZone returns the zone with an IANA name, such as Europe/Berlin. field names the
// input in the error.
func LoadTimeZone(field, name string) (*time.Location, error) {
	// "Local" would be the zone of this machine, which means nothing to users.
	zone, err := time.LoadLocation(name)
	if err == nil && name != "Local" && name != "" {
		return zone, nil
	}

	hint := ""
	if strings.Contains(name, " ") {
		hint = "; a + in a query is a space: write it %2B"
	}
	if other := usualCase(name); other != name {
		if _, err := time.LoadLocation(other); err == nil {
			hint = ": did you mean " + other + "?"
		}
	}
	return nil, invalid(field, "%s must be an IANA name, for example Europe/Berlin%s", field, hint)
}

// usualCase writes a name as most zones are: America/New_York, UTC.
func usualCase(name string) string {
	if !strings.Contains(name, "/") {
		return strings.ToUpper(name)
	}

	begins := true
	return strings.Map(func(r rune) rune {
		first := begins
		begins = !unicode.IsLetter(r)
		if first {
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}, name)
}
