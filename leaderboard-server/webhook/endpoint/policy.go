package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"
)

// Policy is where webhooks may go. The zero value has https at public addresses alone.
type Policy struct {
	// AllowHTTP admits messages that are not encrypted.
	AllowHTTP bool
	// Allowed are networks that are allowed besides the public ones, and Denied some that are
	// not in any case.
	Allowed, Denied []netip.Prefix
	// Ports are those that may be connected to; empty: 443.
	Ports []uint16
}

// ErrAddress is that an address may not be connected to.
var ErrAddress = errors.New("the address is not allowed")

// ports are those that are allowed.
func (p Policy) ports() []uint16 {
	if len(p.Ports) == 0 {
		return []uint16{443}
	}
	return p.Ports
}

// Control is for [net.Dialer]: it is asked with the address that is about to be connected to,
// whatever name was looked up and however that was written, so that no second look-up can
// lead elsewhere.
func (p Policy) Control(network, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return ErrAddress
	}
	return p.Check(target)
}

// Check returns an [ErrAddress] if the address may not be connected to.
func (p Policy) Check(target netip.AddrPort) error {
	for _, denied := range p.Denied {
		if denied.Contains(target.Addr().Unmap().WithZone("")) {
			return ErrAddress
		}
	}
	if err := p.guardian().SafeAddrPort(target); err != nil {
		return ErrAddress
	}
	return nil
}

// guardian knows the registries of special addresses of IANA. Of IPv6 it takes what is
// public (2000::/3) alone, without 6to4 and Teredo: all other ways to write an address of
// IPv4 are outside of it.
func (p Policy) guardian() *ssrf.Guardian {
	var v4, v6 []netip.Prefix
	for _, allowed := range p.Allowed {
		if allowed.Addr().Is4() {
			v4 = append(v4, allowed)
		} else {
			v6 = append(v6, allowed)
		}
	}
	return ssrf.New(ssrf.WithPorts(p.ports()...), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
}

// MaxURL bounds a URL, in bytes.
const MaxURL = 2048

// label is a part of a host name; underscores are in names of some private networks.
var label = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// CheckURL returns why a webhook cannot have the URL. What its host name leads to is checked
// when it is connected to.
func (p Policy) CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > MaxURL || u.Opaque != "" || u.Host == "":
		return fmt.Errorf("it must be a URL of at most %d bytes, for example https://example.com/hooks/leaderboard", MaxURL)
	case u.Scheme != "https" && (u.Scheme != "http" || !p.AllowHTTP):
		return errors.New("it must begin with https://")
	case u.User != nil:
		return errors.New("it must be without a username and a password: receivers verify the signature")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return errors.New("it must be without a fragment (#)")
	}

	port, err := portOf(u)
	if err != nil || !slices.Contains(p.ports(), port) {
		return fmt.Errorf("its port must be one of %v, which the class allows", p.ports())
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil {
		if address.Zone() != "" || p.Check(netip.AddrPortFrom(address.Unmap(), port)) != nil {
			return errors.New("its address must be a public one, or one that the class allows")
		}
		return nil
	}
	return checkName(u.Hostname())
}

// Port is the port that a URL leads to; 0: it is no URL for a webhook.
func Port(text string) uint16 {
	u, err := url.Parse(text)
	if err != nil {
		return 0
	}
	port, err := portOf(u)
	if err != nil {
		return 0
	}
	return port
}

func portOf(u *url.URL) (uint16, error) {
	text := u.Port()
	if text == "" {
		text = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return uint16(port), err
}

// checkName refuses what some resolvers take for an address, such as 2130706433, 0x7f.1 and
// 127.1: a host that ends in a number.
func checkName(host string) error {
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return errors.New("its host must be a name such as example.com, without a dot at its end, or an address")
		}
	}

	last := strings.ToLower(labels[len(labels)-1])
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return errors.New("its host ends in a number and is no address: write addresses as 192.0.2.1 or [2001:db8::1]")
	}
	if len(host) > 253 {
		return errors.New("its host must have at most 253 characters")
	}
	return nil
}
