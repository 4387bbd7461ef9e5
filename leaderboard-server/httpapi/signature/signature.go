// Package signature verifies that a request is as its sender signed it: HTTP Message Signatures
// (RFC 9421) with HMAC-SHA-256 over the method, the path, the key that keeps the request from
// being stored twice, and the digest of the body (RFC 9530). It takes one form of them, so that
// there is one way to be right:
//
//	Content-Digest: sha-256=:3hwueTW6/8Ag1AOSuxR+OxzvZNCrgFT5ctFrK10KHaQ=:
//	Idempotency-Key: 8e03978e-40d5-43e8-bc93-6894a57f9324
//	Signature-Input: sig=("@method" "@path" "content-digest" "idempotency-key");created=1618884473
//	Signature: sig=:30WwhR6SdKs7msQCg9gB49nAR/vo97kl4ttsOrzMyf0=:
package signature

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// The headers that a signature consists of and covers.
const (
	InputHeader     = "Signature-Input"
	SignatureHeader = "Signature"
	DigestHeader    = "Content-Digest"
	KeyHeader       = "Idempotency-Key"
)

// Wanted is what Accept-Signature asks for (RFC 9421, section 5.1).
const Wanted = `sig=("@method" "@path" "content-digest" "idempotency-key");created;alg="hmac-sha256"`

// MaxHeader is the longest of the headers, in bytes; they have some 120.
const MaxHeader = 1024

// algorithm is the only one, by its name in RFC 9421.
const algorithm = "hmac-sha256"

// components are what a signature covers: all of them, once, in any order.
var components = []string{"@method", "@path", "content-digest", "idempotency-key"}

// HeaderError is a header that cannot be read, or does not cover what it has to. Message is for
// the user.
type HeaderError struct{ Header, Message string }

// Error implements [error].
func (e *HeaderError) Error() string { return e.Message }

// malformed is a HeaderError; its message begins with the header's name.
func malformed(header, format string, args ...any) error {
	return &HeaderError{Header: header, Message: header + " " + fmt.Sprintf(format, args...)}
}

// Signature is what the headers of a request say.
type Signature struct {
	// Created is when it was made by the client's clock, and Expires until when the client wants
	// it to be good; zero: the client does not say.
	Created, Expires time.Time

	covered []string
	// parameters are the covered components and the parameters, as the signature covers them.
	parameters  string
	mac, digest []byte
}

// Present says whether a request brings any part of a signature.
func Present(h http.Header) bool {
	return len(h.Values(InputHeader)) > 0 || len(h.Values(SignatureHeader)) > 0
}

// Read reads the headers. Its errors are of type [*HeaderError].
func Read(h http.Header) (*Signature, error) {
	input, err := dictionary(h, InputHeader)
	if err != nil {
		return nil, err
	}
	signatures, err := dictionary(h, SignatureHeader)
	if err != nil {
		return nil, err
	}
	if len(input.Names()) != 1 || !slices.Equal(input.Names(), signatures.Names()) {
		return nil, malformed(InputHeader, "must have one signature, under the name that the header %s has", SignatureHeader)
	}

	s := &Signature{}
	label := input.Names()[0]
	covered, _ := input.Get(label)
	if err := s.cover(covered); err != nil {
		return nil, err
	}
	if member, _ := signatures.Get(label); !readBytes(member, &s.mac) {
		return nil, malformed(SignatureHeader, "must be %d bytes in base64 between colons, as sig=:...:", sha256.Size)
	}

	digests, err := dictionary(h, DigestHeader)
	if err != nil {
		return nil, err
	}
	if member, _ := digests.Get("sha-256"); !readBytes(member, &s.digest) {
		return nil, malformed(DigestHeader, "must have the SHA-256 of the body in base64 between colons, as sha-256=:...:")
	}
	if values := h.Values(KeyHeader); len(values) != 1 {
		return nil, malformed(KeyHeader, "must be there once: a signature covers it")
	}
	return s, nil
}

// dictionary reads one of the headers.
func dictionary(h http.Header, name string) (*httpsfv.Dictionary, error) {
	values := h.Values(name)
	if len(values) != 1 {
		return nil, malformed(name, "must be there once, with a signature")
	}
	if len(values[0]) > MaxHeader {
		return nil, malformed(name, "must have %d bytes at the most", MaxHeader)
	}
	d, err := httpsfv.UnmarshalDictionary(values)
	if err != nil {
		return nil, malformed(name, "must be a dictionary of RFC 9651")
	}
	return d, nil
}

// readBytes reads a member that has the size of a SHA-256.
func readBytes(member httpsfv.Member, into *[]byte) bool {
	item, ok := member.(httpsfv.Item)
	if !ok || len(item.Params.Names()) > 0 {
		return false
	}
	*into, ok = item.Value.([]byte)
	return ok && len(*into) == sha256.Size
}

// cover reads what the signature covers, and its parameters.
func (s *Signature) cover(member httpsfv.Member) error {
	list, ok := member.(httpsfv.InnerList)
	if !ok {
		return malformed(InputHeader, "must be a list in parentheses, as %s", Wanted)
	}

	for _, item := range list.Items {
		name, isText := item.Value.(string)
		if !isText || len(item.Params.Names()) > 0 || !slices.Contains(components, name) || slices.Contains(s.covered, name) {
			return malformed(InputHeader, "must cover each of %s once, and nothing else", strings.Join(components, ", "))
		}
		s.covered = append(s.covered, name)
	}
	if len(s.covered) != len(components) {
		return malformed(InputHeader, "must cover each of %s once", strings.Join(components, ", "))
	}

	if err := s.readParameters(list.Params); err != nil {
		return err
	}
	text, err := httpsfv.Marshal(httpsfv.List{list})
	if err != nil {
		return malformed(InputHeader, "must be a dictionary of RFC 9651")
	}
	s.parameters = text
	return nil
}

// readParameters reads those of RFC 9421, section 2.3. What they say that is not read is covered
// by the signature all the same.
func (s *Signature) readParameters(p *httpsfv.Params) error {
	for _, name := range p.Names() {
		value, _ := p.Get(name)
		seconds, isInteger := value.(int64)
		text, isText := value.(string)
		switch name {
		case "created", "expires":
			if !isInteger || seconds < 0 {
				return malformed(InputHeader, "must have %s in whole seconds since 1970", name)
			}
			if at := time.Unix(seconds, 0); name == "created" {
				s.Created = at
			} else {
				s.Expires = at
			}
		case "alg":
			if !isText || text != algorithm {
				return malformed(InputHeader, "must have the alg %q, or none", algorithm)
			}
		case "keyid", "nonce", "tag": // the token says which key it is
			if !isText {
				return malformed(InputHeader, "must have text in quotes as %s", name)
			}
		default:
			return malformed(InputHeader, "must have the parameters created and, if you like, expires, alg, keyid, nonce and tag, and no others")
		}
	}
	if _, ok := p.Get("created"); !ok {
		return malformed(InputHeader, "must have the parameter created: the time, in whole seconds since 1970")
	}
	return nil
}

// Digests says whether content is the body that the signature covers, by its digest.
func (s *Signature) Digests(content []byte) bool {
	sum := sha256.Sum256(content)
	return hmac.Equal(sum[:], s.digest)
}

// Signs says whether the signature is of this request, made with the key.
func (s *Signature) Signs(r *http.Request, key []byte) bool {
	mac := hmac.New(sha256.New, key)
	mac.Write(s.base(r))
	return hmac.Equal(mac.Sum(nil), s.mac)
}

// base is what is signed (RFC 9421, section 2.5).
func (s *Signature) base(r *http.Request) []byte {
	var b bytes.Buffer
	for _, name := range s.covered {
		var value string
		switch name {
		case "@method":
			value = r.Method
		case "@path":
			value = r.URL.EscapedPath()
		default:
			value = strings.Trim(r.Header.Get(name), " \t")
		}
		fmt.Fprintf(&b, "%q: %s\n", name, value)
	}
	fmt.Fprintf(&b, "%q: %s", "@signature-params", s.parameters)
	return b.Bytes()
}
