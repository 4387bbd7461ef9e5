package metadata

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// MaxBytes is the longest metadata of a submission, in bytes of [Compact].
	MaxBytes = 2 << 10
	// MaxDepth is how deep its objects and lists may be nested; the object itself is 1.
	MaxDepth = 8
	// maxExponent is the greatest exponent of a number as it is written, and the lowest
	// below zero: what a double holds. Numbers are compared exactly, so a greater one
	// would cost what it has digits.
	maxExponent = 308
)

// Error says what is wrong, for who wrote the JSON.
type Error struct {
	// Path leads to the value in the JSON, as in .car.wheels[3]; empty: all of it.
	Path string
	// Message goes on after the name of the value: "must be a number".
	Message string
}

// Error implements error.
func (e *Error) Error() string { return "the value" + e.Path + " " + e.Message }

func wrong(path, format string, args ...any) *Error {
	return &Error{Path: shorten(path), Message: fmt.Sprintf(format, args...)}
}

// Compact returns a JSON object without insignificant whitespace and otherwise as it was
// written: its numbers, its escapes and the order of its fields. It refuses what is longer
// or deeper than the bounds, names that are there twice, text that is not valid Unicode,
// and numbers beyond a double. An error is an [*Error].
func Compact(raw []byte) (string, error) {
	compact, err := compactWithin(raw, MaxBytes)
	if err != nil {
		return "", err
	}
	if compact[0] != '{' {
		return "", wrong("", "must be a JSON object, for example {\"car\": \"roadster\"}")
	}
	return string(compact), check(compact, MaxDepth)
}

func compactWithin(raw []byte, most int) ([]byte, error) {
	var b bytes.Buffer
	if !utf8.Valid(raw) || json.Compact(&b, raw) != nil || b.Len() == 0 {
		return nil, wrong("", "is not valid JSON in UTF-8")
	}
	if b.Len() > most {
		return nil, wrong("", "has %d bytes without whitespace: at most %d are taken", b.Len(), most)
	}
	return b.Bytes(), nil
}

// check goes through valid JSON.
func check(text []byte, maxDepth int) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	c := checker{decoder, maxDepth}
	return c.value("", 0)
}

type checker struct {
	decoder  *json.Decoder
	maxDepth int
}

// value checks the next value, which is within so many others.
func (c *checker) value(path string, depth int) error {
	token, err := c.decoder.Token()
	if err != nil {
		return wrong(path, "is not valid JSON")
	}

	switch t := token.(type) {
	case json.Delim:
		if depth == c.maxDepth {
			return wrong(path, "is nested too deep: at most %d objects and lists may be within each other", c.maxDepth)
		}
		if t == '{' {
			err = c.fields(path, depth+1)
		} else {
			err = c.elements(path, depth+1)
		}
		if err == nil {
			_, err = c.decoder.Token() // the end
		}
		return err
	case string:
		if !valid(t) {
			return wrong(path, "has a character that is not valid Unicode")
		}
	case json.Number:
		return checkNumber(path, t.String())
	}
	return nil
}

func (c *checker) fields(path string, depth int) error {
	seen := map[string]bool{}
	for c.decoder.More() {
		token, err := c.decoder.Token()
		if err != nil {
			return wrong(path, "is not valid JSON")
		}

		name, _ := token.(string) // a name is nothing else
		field := path + "." + shorten(name)
		switch {
		case !valid(name):
			return wrong(path, "has a name with a character that is not valid Unicode")
		case seen[name]:
			return wrong(field, "is there twice: write each name of an object once")
		}
		seen[name] = true
		if err := c.value(field, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) elements(path string, depth int) error {
	for i := 0; c.decoder.More(); i++ {
		if err := c.value(path+"["+strconv.Itoa(i)+"]", depth); err != nil {
			return err
		}
	}
	return nil
}

// valid says whether a decoded string has no character that stands for one that is not
// valid, which is also what half of a surrogate pair (\ud800) decodes to.
func valid(s string) bool { return !strings.ContainsRune(s, utf8.RuneError) }

func checkNumber(path, text string) error {
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		exponent, err := strconv.Atoi(text[i+1:])
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return wrong(path, "is a number with an exponent beyond %d: write a smaller one, or a string", maxExponent)
		}
	}
	if value, err := strconv.ParseFloat(text, 64); err != nil || math.IsInf(value, 0) {
		return wrong(path, "is a number that is too great for a double: write a smaller one, or a string")
	}
	return nil
}

// shorten bounds a piece of input that a message repeats.
func shorten(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		return string([]rune(s)[:most]) + "..."
	}
	return s
}
