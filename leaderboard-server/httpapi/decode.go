package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// byteOrderMark is that of UTF-8.
var byteOrderMark = []byte("\ufeff")

// maxBody bounds a request's body, in bytes.
const maxBody = 64 << 10

// body is a JSON object whose fields are taken out one by one. It remembers
// what was wrong, so that one answer names everything.
type body struct {
	fields map[string]json.RawMessage
	errs   []FieldError
}

// readBody reads a JSON object strictly: the Content-Type, the size, the
// encoding, and no duplicates. What it refuses is no object at all.
func readBody(r *http.Request) (*body, error) {
	return readBodyAfter(r, func([]byte) error { return nil })
}

// readBodyAfter is readBody that does not work on content which check refuses.
func readBodyAfter(r *http.Request, check func(content []byte) error) (*body, error) {
	if err := contentType(r, "application/json"); err != nil {
		return nil, err
	}

	content, err := readAll(r)
	if err != nil {
		return nil, err
	}

	if err := check(content); err != nil {
		return nil, err
	}

	fields, err := parseObject(content)
	if err != nil {
		return nil, err
	}

	return &body{fields: fields}, nil
}

// contentType refuses a request that does not say that it has one of the media
// types in UTF-8.
func contentType(r *http.Request, wanted ...string) error {
	sorry := newProblem(kindMediaType, "send the body with the header Content-Type: "+strings.Join(wanted, " or "))
	sorry.errors = []FieldError{{Field: "Content-Type", Message: sorry.detail}}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return newProblem(kindMediaType, "send the body without a Content-Encoding")
	}
	if len(r.Header.Values("Content-Type")) != 1 {
		return sorry
	}

	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return sorry
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return newProblem(kindMediaType, "send the body in UTF-8")
	}

	for _, w := range wanted {
		if media == w {
			return nil
		}
	}

	return sorry
}

func readAll(r *http.Request) ([]byte, error) {
	var content bytes.Buffer
	content.Grow(int(min(max(r.ContentLength, 0), maxBody)) + bytes.MinRead) // what is said may not come
	_, err := content.ReadFrom(r.Body)                                       // the middleware bounds it
	var maxBytes *http.MaxBytesError
	switch {
	case err == nil:
		return content.Bytes(), nil
	case errors.As(err, &maxBytes), leaderboard.CodeOf(err) == leaderboard.CodeBusy:
		return nil, err
	}

	return nil, &problem{kind: kindMalformed, detail: "the body ended early", cause: err}
}

func malformed(format string, args ...any) *problem {
	return newProblem(kindMalformed, fmt.Sprintf(format, args...))
}

// strictness leaves to this package, which names the field, what names that are there twice
// and lone surrogates are told.
var strictness = jsonv2.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// decoders are kept for their memory: a batch of scores takes one for each.
var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// parseObject splits a JSON object into its fields.
func parseObject(content []byte) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	err := eachField(content, func(name string, decoder *jsontext.Decoder) error {
		value, err := decoder.ReadValue()
		if err != nil {
			return err
		}
		if _, twice := fields[name]; twice {
			return thereTwice(name)
		}
		fields[name] = json.RawMessage(value.Clone())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fields, nil
}

func thereTwice(field string) *problem {
	p := malformed("the field %s is there twice", quote(field))
	p.errors = []FieldError{{Field: shorten(field), Message: p.detail}}
	return p
}

// eachField has read take the value of each field of a JSON object; an error of the decoder
// is one of the syntax.
func eachField(content []byte, read func(name string, decoder *jsontext.Decoder) error) error {
	if !utf8.Valid(content) {
		return malformed("the body is not valid UTF-8")
	}

	decoder := decoders.Get().(*jsontext.Decoder)
	defer decoders.Put(decoder)
	// A byte order mark may be ignored (RFC 8259, section 8.1), and some engines write one.
	decoder.Reset(bytes.NewBuffer(bytes.TrimPrefix(content, byteOrderMark)), strictness)
	token, err := decoder.ReadToken()
	if err != nil {
		return malformed("the body is not valid JSON")
	}
	if token.Kind() != jsontext.KindBeginObject {
		return malformed("the body must be a JSON object")
	}

	for decoder.PeekKind() != jsontext.KindEndObject {
		name, err := decoder.ReadToken()
		if err != nil {
			return malformed("the body is not valid JSON near byte %d", decoder.InputOffset())
		}
		key := name.String() // before the next read, which it is not good for

		var refused *problem
		if err := read(key, decoder); errors.As(err, &refused) {
			return refused
		} else if err != nil {
			return malformed("the body is not valid JSON near byte %d", decoder.InputOffset())
		}
	}

	if _, err := decoder.ReadToken(); err != nil {
		return malformed("the body is not valid JSON: it ends too early")
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return malformed("the body goes on after its JSON object")
	}

	return nil
}

// shorten bounds a piece of input that an answer repeats.
func shorten(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		return string([]rune(s)[:most]) + "..."
	}
	return s
}

func quote(s string) string { return strconv.Quote(shorten(s)) }

func (b *body) wrong(field, format string, args ...any) {
	b.errs = append(b.errs, FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// take removes a field; false if it is not there. One that may be left out may be null,
// too, as languages write fields that nobody has set.
func (b *body) take(name string, required bool) (json.RawMessage, bool) {
	value, ok := b.fields[name]
	delete(b.fields, name)
	if !ok && required {
		b.wrong(name, "%s is required", name)
	}
	if !required && string(value) == "null" {
		return nil, false
	}
	return value, ok
}

// text takes a string. The value of a field is not repeated in messages: it may
// be a password.
func (b *body) text(name string, required bool) string {
	raw, ok := b.take(name, required)
	if !ok {
		return ""
	}

	s, ok := textOf(raw)
	if !ok {
		b.wrong(name, "%s must be a string", name)
		return ""
	}
	if strings.ContainsRune(s, utf8.RuneError) {
		// Also what a lone half of a surrogate pair (\ud800) decodes to.
		b.wrong(name, "%s has a character that is not valid Unicode", name)
		return ""
	}

	return s
}

// boolean takes true or false, which may be left out: false.
func (b *body) boolean(name string) bool {
	raw, ok := b.take(name, false)
	if ok && string(raw) != "true" && string(raw) != "false" {
		b.wrong(name, "%s must be true or false", name)
	}
	return string(raw) == "true"
}

// textOf reads a JSON string; false: it is none.
func textOf(raw json.RawMessage) (s string, ok bool) {
	if raw[0] != '"' {
		return "", false
	}
	if plain := raw[1 : len(raw)-1]; !bytes.ContainsRune(plain, '\\') {
		return string(plain), true
	}
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// integer takes a number that is an exact integer in the range of scores.
func (b *body) integer(name string) int64 {
	raw, ok := b.take(name, true)
	if !ok {
		return 0
	}
	return b.readInteger(name, raw)
}

// integers takes an object of at most so many such numbers, which may be left out.
func (b *body) integers(name string, most int) map[string]int64 {
	fields, ok := b.object(name, false, "numbers", most, "have at most %d numbers")
	if !ok {
		return nil
	}

	values := make(map[string]int64, len(fields))
	for field, value := range fields {
		values[field] = b.readInteger(name+"."+shorten(field), value)
	}
	return values
}

// object takes an object of at most so many fields; bound says for a message how many that are.
func (b *body) object(name string, required bool, of string, most int, bound string) (fields map[string]json.RawMessage, ok bool) {
	raw, ok := b.take(name, required)
	if !ok {
		return nil, false
	}
	if raw[0] != '{' {
		b.wrong(name, "%s must be an object of %s", name, of)
		return nil, false
	}

	fields, err := parseObject(raw)
	if err != nil {
		b.wrong(name, "%s must be an object that names each once", name)
		return nil, false
	}
	if len(fields) > most {
		b.wrong(name, "%s must "+bound, name, most)
		return nil, false
	}
	return fields, true
}

// metadata takes what is kept with a submission, which may be left out.
func (b *body) metadata() string {
	raw, ok := b.take("metadata", false)
	if !ok {
		return ""
	}

	text, err := leaderboard.CompactMetadata(raw)
	b.refused(err)
	return text
}

// refused takes what the domain says of a field.
func (b *body) refused(err error) {
	var refused *leaderboard.Error
	if errors.As(err, &refused) {
		b.wrong(refused.Field, "%s", refused.Message)
	}
}

func (b *body) readInteger(name string, raw json.RawMessage) int64 {
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		b.wrong(name, "%s must be a number", name)
		return 0
	}

	value, err := parseInteger(string(raw))
	switch {
	case errors.Is(err, errFraction):
		b.wrong(name, "%s must be an integer, without a fraction", name)
	case err != nil:
		b.wrong(name, "%s must be from %d to %d", name, int64(-leaderboard.MaxScore), int64(leaderboard.MaxScore))
	}

	return value
}

// finish refuses fields that are left, and reports everything that was wrong.
func (b *body) finish() error {
	for name := range b.fields {
		b.wrong(name, "there is no field %s", quote(name))
	}
	if len(b.errs) == 0 {
		return nil
	}
	return invalidFields(b.errs)
}
