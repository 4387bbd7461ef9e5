package leaderboard

import (
	"fmt"
	"slices"
	"time"
)

// LiveBoard is a board as the ledger knows it: with the numbers that never
// change, and the season that is open.
type LiveBoard struct {
	Board
	// Number identifies the board in the ledger and in ranking entries. Unlike
	// the name it is short; it is never given to another board.
	Number int32
	// Season is the number of the season that is meant: that of all time, unless the board
	// was made by [LiveBoard.In]. 0: there is none.
	Season int32
	// Seasons are the runs of the windows, in the order of the windows, then of time. Of
	// those that are over for good only each window's last one is among them.
	Seasons []Season
	// LeftOut are the columns that the board had and has no more.
	LeftOut []string
	// Refold is the change of order, scoring or columns that is under way; nil: none is.
	Refold *Refold
	// Retired are the rankings that are served no more and not deleted yet.
	Retired []RetiredRanking
	// Segmented says that the board is split by segments, or was.
	Segmented bool
	// Reviewed says that the board holds submissions back, or did.
	Reviewed bool
	// Returned is how many times segments of the board were brought back after they had been
	// removed. What rankings have of them is from before, so all are made again.
	Returned int32
	// own are the board's rules where the season that is meant has others.
	own *Rules
	// Active is false for a board that is no longer configured: its scores are
	// kept, and entries on GlobalBoard may still come from it.
	Active bool
}

// Catalog is an immutable view of a tenant's boards in the ledger.
type Catalog struct {
	list     []LiveBoard
	byName   map[string]int
	byNumber map[int32]int
	// attributes are those of the players, and values those that players have or had.
	attributes []Attribute
	values     []AttributeValue
	// version is that of the boards and seasons, and ahead by how much the ledger's clock
	// was ahead of this process' when they were read.
	version int64
	ahead   time.Duration
	// covered is until when the seasons are known; zero: for ever.
	covered time.Time
	// moderated is the number of the last moderation, and recounted that of the last one for
	// which standings were made again.
	moderated, recounted int64
}

// NewCatalog makes a catalog; GlobalBoard must be among the boards.
func NewCatalog(boards []LiveBoard) (*Catalog, error) {
	c := &Catalog{list: boards, byName: make(map[string]int, len(boards)), byNumber: make(map[int32]int, len(boards))}
	for i, b := range boards {
		c.byName[b.Name], c.byNumber[b.Number] = i, i
		for _, w := range b.Windows {
			until := b.LastSeason(w.Name).Closes
			if until.IsZero() {
				until = time.Unix(0, 0) // none is known
			}
			if !w.Once() && b.Active && (c.covered.IsZero() || until.Before(c.covered)) {
				c.covered = until
			}
		}
	}

	if len(c.byName) != len(boards) || len(c.byNumber) != len(boards) {
		return nil, fmt.Errorf("the ledger has a board name or number twice")
	}
	if _, ok := c.byName[GlobalBoard]; !ok {
		return nil, fmt.Errorf("the ledger has no board %s", GlobalBoard)
	}

	return c, nil
}

// AsOf returns the catalog with the version of the boards and seasons, and what the
// ledger's clock says now.
func (c *Catalog) AsOf(version int64, now time.Time) *Catalog {
	dated := *c
	dated.version, dated.ahead = version, time.Until(now)
	return &dated
}

// WithModerations returns the catalog with the number of the last moderation that there is, and
// that of the last one for which standings were made again.
func (c *Catalog) WithModerations(last, recounted int64) *Catalog {
	with := *c
	with.moderated, with.recounted = last, recounted
	return &with
}

// Recounted is the number of the last moderation for which standings were made again: what was
// folded of the log before it is out of date.
func (c *Catalog) Recounted() int64 { return c.recounted }

// Moderated is the number of the last moderation; 0: nothing was ever moderated.
func (c *Catalog) Moderated() int64 { return c.moderated }

// Version rises whenever the ledger's boards, windows, or the bounds of seasons change.
func (c *Catalog) Version() int64 { return c.version }

// Knows says whether the seasons that were open at a time are those of the catalog, where
// the boards had this version then.
func (c *Catalog) Knows(version int64, at time.Time) bool {
	return version == c.version && (c.covered.IsZero() || at.Before(c.covered))
}

// Now is the time by the ledger's clock, which decides what season is open. It is exact to
// the time that reading the catalog took.
func (c *Catalog) Now() time.Time { return time.Now().Add(c.ahead) }

// WithAttributes returns the catalog with the attributes of players, and the values that
// have numbers.
func (c *Catalog) WithAttributes(attributes []Attribute, values []AttributeValue) *Catalog {
	with := *c
	with.attributes, with.values = attributes, values
	return &with
}

// Attributes are those that players may have now.
func (c *Catalog) Attributes() []Attribute { return c.attributes }

// Attribute finds one of them.
func (c *Catalog) Attribute(name string) (Attribute, bool) {
	i := slices.IndexFunc(c.attributes, func(a Attribute) bool { return a.Name == name })
	if i < 0 {
		return Attribute{}, false
	}
	return c.attributes[i], true
}

// ValueNumber is the number of a value of an attribute; false: it had none when the catalog
// was read.
func (c *Catalog) ValueNumber(attribute, value string) (int32, bool) {
	for _, v := range c.values {
		if v.Attribute == attribute && v.Value == value {
			return v.Number, true
		}
	}
	return 0, false
}

// ValueNumbers are the numbers of all values.
func (c *Catalog) ValueNumbers() []int32 {
	numbers := make([]int32, len(c.values))
	for i, v := range c.values {
		numbers[i] = v.Number
	}
	return numbers
}

// Served are the numbers of the values in whose segments the board is served.
func (c *Catalog) Served(b LiveBoard) []int32 { return c.valuesOf(b, true) }

// Unserved are those of attributes by which the board is not split.
func (c *Catalog) Unserved(b LiveBoard) []int32 { return c.valuesOf(b, false) }

func (c *Catalog) valuesOf(b LiveBoard, split bool) (numbers []int32) {
	for _, v := range c.values {
		if slices.Contains(b.Segments, v.Attribute) == split {
			numbers = append(numbers, v.Number)
		}
	}
	return numbers
}

// HasSegments says whether any board is split by segments, or was.
func (c *Catalog) HasSegments() bool {
	return slices.ContainsFunc(c.list, func(b LiveBoard) bool { return b.Segmented })
}

// HasReviews says whether any board holds submissions back, or did.
func (c *Catalog) HasReviews() bool {
	return slices.ContainsFunc(c.list, func(b LiveBoard) bool { return b.Reviewed })
}

// HasWindows says whether any board has.
func (c *Catalog) HasWindows() bool {
	return slices.ContainsFunc(c.list, func(b LiveBoard) bool { return len(b.Windows) > 0 || len(b.Seasons) > 0 })
}

// All returns every board, including those no longer active. The caller must
// not change it.
func (c *Catalog) All() []LiveBoard { return c.list }

// Lookup finds an active board by name.
func (c *Catalog) Lookup(name string) (LiveBoard, error) {
	if i, ok := c.byName[name]; ok && c.list[i].Active {
		return c.list[i], nil
	}
	return LiveBoard{}, NoBoard(name)
}

// Numbered finds a board by number, active or not.
func (c *Catalog) Numbered(number int32) (LiveBoard, bool) {
	i, ok := c.byNumber[number]
	if !ok {
		return LiveBoard{}, false
	}
	return c.list[i], true
}

// Global returns GlobalBoard.
func (c *Catalog) Global() LiveBoard { return c.list[c.byName[GlobalBoard]] }
