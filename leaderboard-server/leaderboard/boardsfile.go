package leaderboard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// boardSpec is one board of the boards file. The names are those of the
// Leaderboard resource; what is left out gets the same default as there.
type boardSpec struct {
	Name               string  `json:"name"`
	Order              Order   `json:"order"`
	Scoring            Scoring `json:"scoring"`
	MinScore           *int64  `json:"minScore"`
	MaxScore           *int64  `json:"maxScore"`
	CountsTowardGlobal *bool   `json:"countsTowardGlobal"`
	Decimals           *int    `json:"decimals"`
	Shards             *int    `json:"shards"`
	AllTime            *bool   `json:"allTime"`
	Ranks              Ranks   `json:"ranks"`

	Columns  []columnSpec  `json:"columns"`
	Metadata *metadataSpec `json:"metadata"`
	Windows  []windowSpec  `json:"windows"`
	Segments []string      `json:"segments"`

	Owners         external     `json:"owners"`
	Submitters     *serversOnly `json:"submitters"`
	Signatures     signed       `json:"signatures"`
	MaxImprovement *int64       `json:"maxImprovement"`
	Limits         *limitsSpec  `json:"limits"`
	Review         *reviewSpec  `json:"review"`
}

// limitsSpec is how often one player may submit to a board.
type limitsSpec struct {
	PerMinute       *int           `json:"perMinute"`
	CooldownSeconds *int64         `json:"cooldownSeconds"`
	Attempts        []attemptsSpec `json:"attempts"`
}

// attemptsSpec is how many submissions there may be in a season.
type attemptsSpec struct {
	Window string `json:"window"`
	Max    int    `json:"max"`
}

// limits reads it; nil limits nothing. What is given as 0 is refused: to have no limit it is left
// out.
func (s *limitsSpec) limits() Limits {
	if s == nil {
		return Limits{}
	}

	var l Limits
	if s.PerMinute != nil {
		l.PerMinute = *s.PerMinute
		if l.PerMinute == 0 {
			l.PerMinute = -1
		}
	}
	if s.CooldownSeconds != nil {
		l.Cooldown = -1
		if *s.CooldownSeconds > 0 && *s.CooldownSeconds <= int64(MaxCooldown.Seconds()) {
			l.Cooldown = time.Duration(*s.CooldownSeconds) * time.Second
		}
	}
	for _, a := range s.Attempts {
		l.Attempts = append(l.Attempts, Attempts(a))
	}
	return l
}

// reviewSpec says which submissions of players a board holds back.
type reviewSpec struct {
	When       ReviewWhen `json:"when"`
	BetterThan *int64     `json:"betterThan"`
	// ImprovementAbove must not be 0: to have no bound it is left out.
	ImprovementAbove *int64 `json:"improvementAbove"`
}

// review reads it; nil holds none back.
func (s *reviewSpec) review() Review {
	switch {
	case s == nil:
		return Review{}
	case s.When == "":
		return Review{When: "nothing"} // which is refused: to hold nothing back review is left out
	}
	return Review(*s)
}

// signed is whether submissions of players have to be signed.
type signed bool

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *signed) UnmarshalText(text []byte) error {
	return either((*bool)(s), "signatures", text, signaturesNone, signaturesRequired)
}

// external is whose the entries of a board are.
type external bool

// UnmarshalText implements [encoding.TextUnmarshaler].
func (e *external) UnmarshalText(text []byte) error {
	return either((*bool)(e), "owners", text, ownersPlayers, ownersExternal)
}

// serversOnly is who may submit to a board.
type serversOnly bool

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *serversOnly) UnmarshalText(text []byte) error {
	return either((*bool)(s), "submitters", text, submittersPlayers, submittersServers)
}

// either reads a text that is one of two.
func either(is *bool, field string, text []byte, no, yes string) error {
	if t := string(text); t != no && t != yes {
		return fmt.Errorf("%s must be %s or %s, not %q", field, no, yes, t)
	}
	*is = string(text) == yes
	return nil
}

// attributeSpec is an attribute of players.
type attributeSpec struct {
	Name    string   `json:"name"`
	Values  []string `json:"values"`
	Pattern string   `json:"pattern"`
}

// metadataSpec is what a board takes as metadata.
type metadataSpec struct {
	MaxBytes *int            `json:"maxBytes"`
	Schema   json.RawMessage `json:"schema"`
}

// rules reads it; nil takes none.
func (s *metadataSpec) rules() MetadataRules {
	if s == nil {
		return MetadataRules{}
	}

	rules := MetadataRules{MaxBytes: MaxMetadata}
	set(&rules.MaxBytes, s.MaxBytes)
	if rules.MaxBytes == 0 {
		rules.MaxBytes = -1 // which is refused: to take none metadata is left out
	}
	var schema bytes.Buffer
	if len(s.Schema) > 0 && string(s.Schema) != "null" && json.Compact(&schema, s.Schema) == nil {
		rules.Schema = schema.String()
	}
	return rules
}

// columnSpec is one further column of a board.
type columnSpec struct {
	Name     string `json:"name"`
	Order    Order  `json:"order"`
	Min      *int64 `json:"min"`
	Max      *int64 `json:"max"`
	Decimals *int   `json:"decimals"`
}

// columns reads them; without any it is nil.
func columns(specs []columnSpec) []Column {
	var list []Column
	for _, s := range specs {
		c := Column{Name: s.Name, Order: s.Order, Min: -MaxScore, Max: MaxScore}
		if c.Order == "" {
			c.Order = Descending
		}
		set(&c.Min, s.Min)
		set(&c.Max, s.Max)
		set(&c.Decimals, s.Decimals)
		list = append(list, c)
	}
	return list
}

// windowSpec is one window of a board.
type windowSpec struct {
	Name     string     `json:"name"`
	Schedule string     `json:"schedule"`
	TimeZone string     `json:"timeZone"`
	Start    *time.Time `json:"start"`
	End      *time.Time `json:"end"`
	Keep     *int       `json:"keep"`
}

func (s windowSpec) window() Window {
	w := Window{Name: s.Name, Schedule: s.Schedule, TimeZone: s.TimeZone, Keep: DefaultKeep}
	if w.TimeZone == "" {
		w.TimeZone = "UTC"
	}
	set(&w.Start, s.Start)
	set(&w.End, s.End)
	set(&w.Keep, s.Keep)
	w.Start, w.End = w.Start.UTC(), w.End.UTC()
	return w
}

// windows reads them; without any it is nil.
func windows(specs []windowSpec) []Window {
	var list []Window
	for _, s := range specs {
		list = append(list, s.window())
	}
	return list
}

// segments reads them; without any it is nil.
func segments(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	return names
}

// globalSpec is what a game may choose of GlobalBoard.
type globalSpec struct {
	MinScore *int64 `json:"minScore"`
	MaxScore *int64 `json:"maxScore"`
	Direct   *bool  `json:"direct"`
	Decimals *int   `json:"decimals"`
	Shards   *int   `json:"shards"`
	Ranks    Ranks  `json:"ranks"`

	Windows  []windowSpec `json:"windows"`
	Segments []string     `json:"segments"`

	Submitters serversOnly `json:"submitters"`
	Signatures signed      `json:"signatures"`
	Limits     *limitsSpec `json:"limits"`
	Review     *reviewSpec `json:"review"`
}

func (s globalSpec) change(global *Board) {
	set(&global.MinScore, s.MinScore)
	set(&global.MaxScore, s.MaxScore)
	set(&global.Decimals, s.Decimals)
	set(&global.Shards, s.Shards)
	if s.Ranks != "" {
		global.Ranks = s.Ranks
	}
	global.Windows = windows(s.Windows)
	global.Segments = segments(s.Segments)
	global.Derived = s.Direct != nil && !*s.Direct
	global.ServersOnly, global.Signed, global.Review = bool(s.Submitters), bool(s.Signatures), s.Review.review()
	global.Limits = s.Limits.limits()
}

// set sets what is given.
func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// ParseBoards reads a boards file: a JSON object {"boards": [...]} whose
// elements have the fields name, order (default Descending), scoring (default
// Best), minScore, maxScore (default +-MaxScore), owners (Players, the default, or External),
// countsTowardGlobal (default: whether the board is Descending and its owners are players),
// submitters (Players, the default, or Servers, which is that of External owners),
// signatures (None, the default, or Required), maxImprovement (default none), limits: an object
// with perMinute, cooldownSeconds and attempts, a list with window and max (default none), review: an object
// with when (Always or Suspicious), betterThan and improvementAbove (default none), decimals (default 0), shards (default 1), allTime
// (default true), ranks (default Ordinal), columns: a list with name, order (default
// Descending), min, max (default +-MaxScore) and decimals (default 0), metadata: an object
// with maxBytes (default MaxMetadata) and schema (a JSON Schema; default none), windows: a list
// with name, schedule and timeZone (default UTC) or start and end (RFC 3339), and keep (default
// DefaultKeep), and segments: a list of attributes. Next to boards, attributes has a list with
// name, and values or pattern, and global has minScore, maxScore, submitters, signatures, limits, review, decimals,
// shards, ranks, windows and segments of GlobalBoard, and
// direct (default true): whether it takes submissions of its own. Unknown fields, duplicates and
// values out of bounds are refused. An empty file has no boards but GlobalBoard.
func ParseBoards(file []byte) (Boards, error) {
	if len(bytes.TrimSpace(file)) == 0 {
		return NewBoards()
	}

	var content struct {
		Attributes []attributeSpec `json:"attributes"`
		Boards     []boardSpec     `json:"boards"`
		Global     *globalSpec     `json:"global"`
	}
	decoder := json.NewDecoder(bytes.NewReader(file))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&content); err != nil {
		return Boards{}, invalid("boards", "the boards file is not {\"boards\": [...]} as documented: %v", err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Boards{}, invalid("boards", "the boards file goes on after its JSON object")
	}

	configured := make([]Board, len(content.Boards))
	for i, spec := range content.Boards {
		configured[i] = spec.board()
	}

	boards, err := NewBoards(configured...)
	if err == nil && content.Global != nil {
		boards, err = boards.WithGlobal(content.Global.change)
	}
	if err == nil {
		attributes := make([]Attribute, len(content.Attributes))
		for i, spec := range content.Attributes {
			attributes[i] = Attribute(spec)
		}
		boards, err = boards.WithAttributes(attributes...)
	}

	if err != nil {
		return Boards{}, fmt.Errorf("read the boards file: %w", err)
	}

	return boards, nil
}

func (s boardSpec) board() Board {
	b := Board{Name: s.Name, Order: s.Order, Scoring: s.Scoring, MinScore: -MaxScore, MaxScore: MaxScore, Shards: 1, Ranks: s.Ranks}
	if b.Order == "" {
		b.Order = Descending
	}

	if b.Scoring == "" {
		b.Scoring = Best
	}

	if b.Ranks == "" {
		b.Ranks = Ordinal
	}

	b.External, b.Signed = bool(s.Owners), bool(s.Signatures)
	servers := serversOnly(b.External)
	set(&servers, s.Submitters)
	b.ServersOnly = bool(servers)
	b.CountsTowardGlobal = b.Order == Descending && !b.External
	set(&b.MinScore, s.MinScore)
	set(&b.MaxScore, s.MaxScore)
	set(&b.CountsTowardGlobal, s.CountsTowardGlobal)
	set(&b.Decimals, s.Decimals)
	set(&b.Shards, s.Shards)
	b.Review = s.Review.review()
	if s.MaxImprovement != nil {
		b.MaxImprovement = *s.MaxImprovement
		if b.MaxImprovement == 0 {
			b.MaxImprovement = -1 // which is refused: to have no bound it is left out
		}
	}
	b.Limits = s.Limits.limits()
	b.WindowsOnly = s.AllTime != nil && !*s.AllTime
	b.Columns = columns(s.Columns)
	b.Metadata = s.Metadata.rules()
	b.Windows = windows(s.Windows)
	b.Segments = segments(s.Segments)

	return b
}
