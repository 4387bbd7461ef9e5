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

// The parts of the statements that append which are run with segments, and without, and those
// that are run where improvements are bounded.
var (
	onlyWith    = regexp.MustCompile(`(?s)\s*/\*\+ ?(.*?) ?\*/`)
	onlyWithout = regexp.MustCompile(`(?s)/\*- (.*?) -\*/`)
	onlyBounded = regexp.MustCompile(`(?s)\s*/\*\^ ?(.*?) ?\*/`)
)

// appendForm is what a batch has: submissions to boards with segments, metadata, and
// submissions to boards that bound improvements.
type appendForm struct{ segments, metadata, bounds bool }

// appendStatement is a statement that appends, in the forms that are run.
type appendStatement map[appendForm]string

func newAppendStatement(text string) appendStatement {
	plain := onlyWithout.ReplaceAllString(onlyWith.ReplaceAllString(text, ""), "$1")
	segmented := onlyWith.ReplaceAllString(onlyWithout.ReplaceAllString(text, ""), " $1")

	forms := appendStatement{}
	for segments, text := range map[bool]string{false: plain, true: segmented} {
		for bounds, with := range map[bool]string{false: "", true: " $1"} {
			sql := onlyBounded.ReplaceAllString(text, with)
			forms[appendForm{segments, false, bounds}], forms[appendForm{segments, true, bounds}] = sql, withMetadata(sql)
		}
	}
	return forms
}
