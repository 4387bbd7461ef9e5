package postgres

import (
	_ "embed" // the statements
	"regexp"
)

var (
	//go:embed queries/append.sql
	appendSQL string
	//go:embed queries/append_ordered.sql
	appendOrderedSQL string

	appendAny, appendOrdered = newAppendStatement(appendSQL), newAppendStatement(appendOrderedSQL)
)

// The parts of the statements that append which are run with segments, and without, those that
// are run where improvements are bounded, and those that are run where players' submissions are
// limited.
var (
	onlyWith    = regexp.MustCompile(`(?s)\s*/\*\+ ?(.*?) ?\*/`)
	onlyWithout = regexp.MustCompile(`(?s)/\*- (.*?) -\*/`)
	onlyBounded = regexp.MustCompile(`(?s)\s*/\*\^ ?(.*?) ?\*/`)
	onlyLimited = regexp.MustCompile(`(?s)\s*/\*~ ?(.*?) ?\*/`)
)

// appendForm is what a batch has: submissions to boards with segments, metadata, and
// submissions to boards that bound improvements, and to such with limits.
type appendForm struct{ segments, metadata, bounds, limits bool }

// appendStatement is a statement that appends, in the forms that are run.
type appendStatement map[appendForm]string

func newAppendStatement(text string) appendStatement {
	plain := onlyWithout.ReplaceAllString(onlyWith.ReplaceAllString(text, ""), "$1")
	segmented := onlyWith.ReplaceAllString(onlyWithout.ReplaceAllString(text, ""), " $1")

	forms := appendStatement{}
	parts := map[bool]string{false: "", true: " $1"}
	for segments, text := range map[bool]string{false: plain, true: segmented} {
		for bounds, bounded := range parts {
			for limits, limited := range parts {
				sql := onlyLimited.ReplaceAllString(onlyBounded.ReplaceAllString(text, bounded), limited)
				forms[appendForm{segments, false, bounds, limits}] = sql
				forms[appendForm{segments, true, bounds, limits}] = withMetadata(sql)
			}
		}
	}
	return forms
}
