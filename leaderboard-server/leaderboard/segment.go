package leaderboard

import (
	"regexp"
	"slices"
	"strings"
)

// Limits of attributes and segments.
const (
	// MaxAttributes is how many attributes players of a game may have, and by how many of
	// them a board may be split.
	MaxAttributes = 4
	// MaxAttributeValue is the longest value of an attribute, in bytes (all ASCII).
	MaxAttributeValue = 32
	// MaxListedValues is how many values an attribute may list: ISO 3166 has 249 countries,
	// and the lists of all attributes stay within MaxAttributeValues.
	MaxListedValues = 250
	// MaxPattern is the longest pattern of values, in bytes.
	MaxPattern = 200
	// MaxAttributeValues is how many values the players of a game may have between them, of
	// all attributes, those included that nobody has any more.
	MaxAttributeValues = 1000
)

// Attribute is a property of players, such as their country, by which boards may be split.
type Attribute struct {
	// Name is unique in the game, spelt as names of boards are.
	Name string
	// Values are those that are allowed; nil: what matches Pattern is.
	Values []string
	// Pattern is a regular expression (RE2) that has to match the whole value; empty: Values
	// are given.
	Pattern string
}

func (a Attribute) validate() error {
	switch {
	case !validName(a.Name):
		return invalid("attributes", "attribute name %q must have 1 to %d characters, lower-case letters, digits, - or _, and begin and end with a letter or digit, for example country", a.Name, MaxBoardName)
	case (len(a.Values) > 0) == (a.Pattern != ""):
		return invalid("attributes", "attribute %s needs either values, a list of those that are allowed, or a pattern that they match, and not both", a.Name)
	case len(a.Values) > MaxListedValues:
		return invalid("attributes", "attribute %s lists %d values: at most %d can be listed", a.Name, len(a.Values), MaxListedValues)
	case len(a.Pattern) > MaxPattern:
		return invalid("attributes", "pattern of attribute %s must have at most %d bytes", a.Name, MaxPattern)
	}

	listed := make(map[string]bool, len(a.Values))
	for _, v := range a.Values {
		if !validAttributeValue(v) {
			return invalid("attributes", "value %q of attribute %s must have 1 to %d letters, digits, dots, - or _, for example DE", v, a.Name, MaxAttributeValue)
		}
		if listed[v] {
			return invalid("attributes", "attribute %s lists the value %s twice", a.Name, v)
		}
		listed[v] = true
	}
	if _, err := a.expression(); err != nil {
		return invalid("attributes", "pattern of attribute %s is not a regular expression as RE2 reads them: %v", a.Name, err)
	}
	return nil
}

// expression matches the whole of a value.
func (a Attribute) expression() (*regexp.Regexp, error) {
	return regexp.Compile(`^(?:` + a.Pattern + `)$`)
}

// Allows says whether players may have a value.
func (a Attribute) Allows(value string) bool {
	if !validAttributeValue(value) {
		return false
	}
	if a.Pattern == "" {
		return slices.Contains(a.Values, value)
	}
	expression, err := a.expression()
	return err == nil && expression.MatchString(value)
}

func validAttributeValue(value string) bool {
	if len(value) == 0 || len(value) > MaxAttributeValue {
		return false
	}
	for i := range len(value) {
		c := value[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// allowed says for a message which values are.
func (a Attribute) allowed() string {
	const shown = 10
	switch {
	case a.Pattern != "":
		return "what matches the pattern " + a.Pattern
	case len(a.Values) > shown:
		return strings.Join(a.Values[:shown], ", ") + ", ..."
	}
	return strings.Join(a.Values, ", ")
}

// check refuses a value that is not allowed.
func (a Attribute) check(field, value string) error {
	if a.Allows(value) {
		return nil
	}
	return invalid(field, "%s must be one of the values that are allowed of attribute %s: %s", field, a.Name, a.allowed())
}

// validateSegments checks what a board says of its segments by itself.
func (b Board) validateSegments() error {
	if len(b.Segments) > MaxAttributes {
		return invalid("segments", "board %s has %d segments: at most %d can be configured", b.Name, len(b.Segments), MaxAttributes)
	}
	for i, name := range b.Segments {
		if slices.Contains(b.Segments[:i], name) {
			return invalid("segments", "board %s names the segment %s twice", b.Name, name)
		}
	}
	return nil
}

// WithAttributes returns the boards with the attributes of the players, which have every one
// by which a board is split.
func (b Boards) WithAttributes(attributes ...Attribute) (Boards, error) {
	if len(attributes) > MaxAttributes {
		return Boards{}, invalid("attributes", "there are %d attributes: at most %d can be configured", len(attributes), MaxAttributes)
	}

	names := make([]string, len(attributes))
	for i, a := range attributes {
		if err := a.validate(); err != nil {
			return Boards{}, err
		}
		if slices.Contains(names[:i], a.Name) {
			return Boards{}, invalid("attributes", "attribute %s is configured twice", a.Name)
		}
		names[i] = a.Name
	}

	for _, board := range b.list {
		for _, segment := range board.Segments {
			if !slices.Contains(names, segment) {
				return Boards{}, invalid("segments", "segment %q of board %s is no attribute of the game: add it to attributes, or leave it out", segment, board.Name)
			}
		}
	}

	b.attributes = attributes
	return b, nil
}

// Attributes are those of the players.
func (b Boards) Attributes() []Attribute { return b.attributes }

// A segment of a season is a ranking of its own, with a number like that of a season, in
// which the season's and the value's are. It is below 0, as no other season's is:
// -(season*1024 + value), with 21 bits for the season. Refolds count down from the end of
// those, so that they do not meet windows: 8 windows of an hour each have 29 years of seasons.
const (
	valueBits   = 10
	seasonBits  = 21
	refoldSpace = 1 << 16
)

// noValue is the number of a value that no player has.
const noValue = 1<<valueBits - 1

// SegmentSeason is the number of the ranking of those players in a season that have the value
// with this number. segment_season() in the migrations is the same.
func SegmentSeason(season, value int32) int32 {
	if season > firstRefold {
		season = 1<<seasonBits - (season - firstRefold)
	}
	return -(season<<valueBits | value)
}

// SplitSeason is the season, and the number of the value where the ranking is of a segment;
// else 0.
func SplitSeason(number int32) (season, value int32) {
	if number >= 0 {
		return number, 0
	}

	season, value = int32(-int64(number)>>valueBits), int32(-int64(number)&(1<<valueBits-1))
	if season > 1<<seasonBits-refoldSpace {
		season = firstRefold + 1<<seasonBits - season
	}
	return season, value
}

// sameSegment says whether two rankings of a board are of the same segment, or both of none.
func sameSegment(a, b int32) bool {
	_, of := SplitSeason(a)
	_, other := SplitSeason(b)
	return of == other
}

// InSegment is the board with the segment of the season that is meant.
func (b LiveBoard) InSegment(value int32) LiveBoard {
	b.Season = SegmentSeason(b.Season, value)
	return b
}

// Segments are the values, by number, in whose segments an event counts: below 0, and
// negated, those that are of GlobalBoard while it was submitted to another board.
type Segments []int32

// On are those on the board that the event was submitted to, or on GlobalBoard.
func (s Segments) On(global bool) []int32 {
	var values []int32
	for _, v := range s {
		if global != (v < 0) {
			continue
		}
		values = append(values, max(v, -v))
	}
	return values
}

// OfGlobal are those of GlobalBoard alone, where the event was submitted to another board.
func (s Segments) OfGlobal() (of Segments) {
	for _, v := range s {
		if v < 0 {
			of = append(of, v)
		}
	}
	return of
}

// AttributeValue is a value with the number that it has in the ledger.
type AttributeValue struct {
	Number           int32
	Attribute, Value string
}
