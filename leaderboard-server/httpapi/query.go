package httpapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// query is a URL's query whose parameters are taken out one by one. It
// remembers what was wrong, so that one answer names everything.
type query struct {
	values url.Values
	errs   []FieldError
}

func readQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	delete(values, "_") // some clients add it so that no cache answers
	q := &query{values: values}
	if err != nil {
		q.wrong("query", "the query is not well-formed: %% must be followed by two hexadecimal digits, and ; must be written %%3B")
	}
	return q
}

func (q *query) wrong(field, format string, args ...any) {
	q.errs = append(q.errs, FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// text takes a parameter; absent: fallback.
func (q *query) text(name, fallback string) string {
	values, ok := q.values[name]
	delete(q.values, name)
	switch {
	case !ok:
		return fallback
	case len(values) > 1:
		q.wrong(name, "%s is there %d times", name, len(values))
		return fallback
	case values[0] == "":
		q.wrong(name, "%s is empty: give it a value, or leave it out", name)
		return fallback
	case !utf8.ValidString(values[0]):
		q.wrong(name, "%s is not valid UTF-8", name)
		return fallback
	}

	return values[0]
}

// boolean takes a parameter that is true or false; absent: false.
func (q *query) boolean(name string) bool {
	text := q.text(name, "false")
	if text != "true" && text != "false" {
		q.wrong(name, "%s must be true or false", name)
	}
	return text == "true"
}

// required takes a parameter that has to be there.
func (q *query) required(name string) string {
	if _, ok := q.values[name]; !ok {
		q.wrong(name, "%s is required", name)
		return ""
	}
	return q.text(name, "")
}

// What answers may include.
const (
	includeReachedAt = "reached_at"
	includeMetadata  = "metadata"
	// includeSegments is for own entries: their ranks in segments.
	includeSegments = "segments"
)

// include takes what entries are to have beyond the usual.
func (q *query) include() leaderboard.Include {
	return included(q.included(includeReachedAt, includeMetadata))
}

// includeOwn is include of an own entry, which may have its ranks in segments, too.
func (q *query) includeOwn() (include leaderboard.Include, segments bool) {
	asked := q.included(includeReachedAt, includeMetadata, includeSegments)
	return included(asked), slices.Contains(asked, includeSegments)
}

func included(asked []string) leaderboard.Include {
	return leaderboard.Include{ReachedAt: slices.Contains(asked, includeReachedAt), Metadata: slices.Contains(asked, includeMetadata)}
}

// included takes what an answer is to have beyond the usual: some of these names, separated by
// commas.
func (q *query) included(names ...string) (asked []string) {
	const name = "include"
	list := q.text(name, "")
	if list == "" {
		return nil
	}

	for what := range strings.SplitSeq(list, ",") {
		switch {
		case !slices.Contains(names, what):
			q.wrong(name, "there is nothing named %s to include, only %s", quote(what), strings.Join(names, " and "))
			return nil
		case slices.Contains(asked, what):
			q.wrong(name, "include names %s twice", what)
			return nil
		}
		asked = append(asked, what)
	}
	return asked
}

// metadataOf writes the metadata of a submission: null where it has none, and nothing where
// it is not asked for.
func metadataOf(asked bool, text string) json.RawMessage {
	switch {
	case !asked:
		return nil
	case text == "":
		return json.RawMessage("null")
	}
	return json.RawMessage(text)
}

// reachedAt writes when a score was reached: null where it is not known, and nothing where
// it is not asked for.
func reachedAt(asked bool, at time.Time) json.RawMessage {
	switch {
	case !asked:
		return nil
	case at.IsZero():
		return json.RawMessage("null")
	}
	return bytes.TrimSpace(encode(at.UTC()))
}

// integer takes a number from 1 to most.
func (q *query) integer(name string, fallback, most int64) int64 {
	return q.between(name, fallback, 1, most)
}

// optional takes a number that may be left out: nil.
func (q *query) optional(name string, least, most int64) *int64 {
	if _, ok := q.values[name]; !ok {
		return nil
	}
	value := q.between(name, 0, least, most)
	return &value
}

// between takes a number from least to most.
func (q *query) between(name string, fallback, least, most int64) int64 {
	text := q.text(name, "")
	if text == "" {
		return fallback
	}

	value, err := strconv.ParseInt(text, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax) || text[0] == '+':
		q.wrong(name, "%s must be an integer", name)
	case err != nil || value < least || value > most:
		q.wrong(name, "%s must be from %d to %d", name, least, most)
	}

	return value
}

// finish refuses parameters that are left, and reports everything that was wrong.
func (q *query) finish() error {
	for name := range q.values {
		q.wrong(name, "there is no parameter %s", quote(name))
	}
	if len(q.errs) == 0 {
		return nil
	}
	return invalidFields(q.errs)
}

// maxErrors bounds the errors of one answer.
const maxErrors = 20

// tidy orders the errors by field and bounds how many and how long they are.
func tidy(errs []FieldError) []FieldError {
	slices.SortStableFunc(errs, func(a, b FieldError) int { return cmp.Compare(a.Field, b.Field) })
	errs = errs[:min(len(errs), maxErrors)]
	for i := range errs {
		errs[i].Field = shorten(errs[i].Field)
	}
	return errs
}
