package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Secret is a text that prints, logs and encodes as "[redacted]".
type Secret string

const redacted = "[redacted]"

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String implements [fmt.Stringer].
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText makes encodings, JSON among them, show no more than String does.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// RedisMode says how Redis is deployed.
type RedisMode string

// The modes.
const (
	RedisStandalone RedisMode = "standalone"
	RedisSentinel   RedisMode = "sentinel"
	RedisCluster    RedisMode = "cluster"
)

// Prefixes are networks.
type Prefixes []netip.Prefix

// UnmarshalText reads comma-separated CIDRs; an address alone is itself.
func (p *Prefixes) UnmarshalText(text []byte) error {
	*p = nil
	for part := range strings.SplitSeq(string(text), ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}

		prefix, err := netip.ParsePrefix(part)
		if address, addressErr := netip.ParseAddr(part); err != nil && addressErr == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}

		if err != nil {
			return fmt.Errorf("%q is not a network such as 10.0.0.0/8", part)
		}

		*p = append(*p, prefix.Masked())
	}

	return nil
}

// Contain says whether one of the networks has the address.
func (p Prefixes) Contain(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	for _, prefix := range p {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// Names are usernames.
type Names []string

// NoNames is the text of a list without any: a variable that is set to nothing counts as not
// set. No username is that short.
const NoNames = "-"

// UnmarshalText reads comma-separated names, or NoNames.
func (n *Names) UnmarshalText(text []byte) error {
	*n = nil
	if strings.TrimSpace(string(text)) == NoNames {
		return nil
	}

	for name := range strings.SplitSeq(string(text), ",") {
		if name = strings.TrimSpace(name); name != "" {
			*n = append(*n, name)
		}
	}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (n Names) MarshalText() ([]byte, error) {
	if len(n) == 0 {
		return []byte(NoNames), nil
	}
	return []byte(strings.Join(n, ",")), nil
}

// Rate bounds how often something may happen: Events within Per on average, and
// Burst at once. The zero value bounds nothing.
type Rate struct {
	Events int
	Per    time.Duration
	Burst  int
}

var ratePattern = regexp.MustCompile(`^([0-9]{1,6})/([smh]) burst ([0-9]{1,6})$`)

// UnmarshalText reads "10/s burst 100" (s, m or h) or "off".
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*r = Rate{}
		return nil
	}

	match := ratePattern.FindStringSubmatch(string(text))
	if match == nil {
		return fmt.Errorf("%q is not a rate such as \"10/s burst 100\" (per s, m or h) or \"off\"", text)
	}

	events, _ := strconv.Atoi(match[1]) // the pattern admits numbers only
	burst, _ := strconv.Atoi(match[3])
	if events < 1 || burst < 1 {
		return fmt.Errorf("%q: both numbers must be at least 1; \"off\" bounds nothing", text)
	}

	*r = Rate{Events: events, Per: map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[match[2]], Burst: burst}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String is what UnmarshalText reads.
func (r Rate) String() string {
	if r.Off() {
		return "off"
	}

	unit := map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h"}[r.Per]
	if unit == "" {
		unit = r.Per.String()
	}

	return fmt.Sprintf("%d/%s burst %d", r.Events, unit, r.Burst)
}

// Off says that the rate bounds nothing.
func (r Rate) Off() bool { return r.Events == 0 }

// Interval is the time between two events at the average rate.
func (r Rate) Interval() time.Duration {
	if r.Off() {
		return 0
	}
	return r.Per / time.Duration(r.Events)
}
