package leaderboard

import "slices"

// MaxColumns is how many further columns a board may have.
const MaxColumns = 4

// Column is a further number of each submission, which ranks entries whose scores, and
// columns before it, are equal.
type Column struct {
	// Name is what clients call it; unique on the board.
	Name  string
	Order Order
	// Min and Max bound what one submission may carry, inclusively.
	Min, Max int64
	// Decimals is as [Board.Decimals].
	Decimals int
	// Logged is its place among the columns of the log, from 1, where that is not its place
	// on the board; 0: it is. The log keeps the columns that the board had first, in their
	// order, whatever a refold has left out or moved since.
	Logged int
}

// Columns are the further columns of one submission, in the order of the log's: see
// [Fold.Place]. Those that the board does not have mean nothing.
type Columns [MaxColumns]int64

// Fold is how submissions make the entries of a ranking, and how those are ranked.
type Fold struct {
	Order   Order
	Scoring Scoring
	// Columns are the orders of the further columns; empty where the board has fewer.
	Columns [MaxColumns]Order
	// Logged are as [Column.Logged].
	Logged [MaxColumns]int
}

// Fold is the board's.
func (b Board) Fold() Fold {
	f := Fold{Order: b.Order, Scoring: b.Scoring}
	for i, c := range b.Columns {
		f.Columns[i], f.Logged[i] = c.Order, c.Logged
	}
	return f
}

// Place is where submissions have the i-th of the board's columns.
func (f Fold) Place(i int) int {
	if f.Logged[i] != 0 {
		return f.Logged[i] - 1
	}
	return i
}

// CountLogged is how many of a submission's columns there are up to the last one that the
// board has.
func (f Fold) CountLogged() int {
	n := 0
	for i := range f.CountColumns() {
		n = max(n, f.Place(i)+1)
	}
	return n
}

// CountColumns is how many further columns there are.
func (f Fold) CountColumns() int {
	for i, order := range f.Columns {
		if order == "" {
			return i
		}
	}
	return MaxColumns
}

// Ranked are the board's columns of a submission in the order in which they rank, so that lower
// values are the better ones.
func (f Fold) Ranked(submitted Columns) (ranked Columns) {
	for i := range f.CountColumns() {
		ranked[i] = f.turned(i, submitted[f.Place(i)])
	}
	return ranked
}

// Submitted is the other way round of Ranked. What the board does not have is 0.
func (f Fold) Submitted(ranked Columns) (submitted Columns) {
	for i := range f.CountColumns() {
		submitted[f.Place(i)] = f.turned(i, ranked[i])
	}
	return submitted
}

func (f Fold) turned(i int, value int64) int64 {
	if f.Columns[i] == Descending {
		return -value
	}
	return value
}

// Compare is negative where a's score and columns are better than b's, positive where they
// are worse, and 0 where they are the same.
func (f Fold) Compare(a, b Standing) int {
	switch {
	case f.Order.Better(a.Score, b.Score):
		return -1
	case a.Score != b.Score:
		return 1
	}
	x, y := f.Ranked(a.Columns), f.Ranked(b.Columns)
	return slices.Compare(x[:], y[:])
}

// Before says whether standing a ranks before standing b.
func (f Fold) Before(a, b Standing) bool {
	if c := f.Compare(a, b); c != 0 {
		return c < 0
	}
	return a.Event < b.Event
}

func (b Board) validateColumns() error {
	if len(b.Columns) > MaxColumns {
		return invalid("columns", "board %s has %d columns: at most %d can be configured", b.Name, len(b.Columns), MaxColumns)
	}
	if len(b.Columns) > 0 && (b.Scoring == Sum || b.Scoring == Count) {
		return invalid("columns", "board %s has scoring %s and cannot have columns, which are of one submission: choose Best, First or Latest, or leave columns out", b.Name, b.Scoring)
	}

	for i, c := range b.Columns {
		switch {
		case !validName(c.Name):
			return invalid("columns", "column name %q of board %s must have 1 to %d characters, lower-case letters, digits, - or _, and begin and end with a letter or digit, for example deaths", c.Name, b.Name, MaxBoardName)
		case c.Name == "score":
			return invalid("columns", "board %s has a column score, which is what the first number is called: choose another name", b.Name)
		case slices.ContainsFunc(b.Columns[:i], func(other Column) bool { return other.Name == c.Name }):
			return invalid("columns", "board %s has two columns %s", b.Name, c.Name)
		case c.Order != Descending && c.Order != Ascending:
			return invalid("columns", "order of column %s of board %s must be Descending or Ascending, not %q", c.Name, b.Name, c.Order)
		case c.Min < -MaxScore || c.Max > MaxScore || c.Min > c.Max:
			return invalid("columns", "min and max of column %s of board %s must be within +-%d, and min not greater than max", c.Name, b.Name, int64(MaxScore))
		case c.Decimals < 0 || c.Decimals > MaxDecimals:
			return invalid("columns", "decimals of column %s of board %s must be from 0 to %d", c.Name, b.Name, MaxDecimals)
		}
	}
	return nil
}

// ReadColumns puts the columns of a submission, which has all of the board's, in the order of
// the log's. Those that were left out are taken from clients that do not know yet.
func (b LiveBoard) ReadColumns(values map[string]int64) (columns Columns, err error) {
	fold := b.Fold()
	for i, c := range b.Columns {
		value, ok := values[c.Name]
		field := "columns." + c.Name
		switch {
		case !ok:
			return columns, invalid(field, "board %s needs the column %s, too", b.Name, c.Name)
		case value < c.Min || value > c.Max:
			return columns, Errorf(CodeOutOfRange, field, "column %s on board %s must be from %d to %d", c.Name, b.Name, c.Min, c.Max)
		}
		columns[fold.Place(i)] = value
	}

	for name := range values {
		if !slices.ContainsFunc(b.Columns, func(c Column) bool { return c.Name == name }) && !slices.Contains(b.LeftOut, name) {
			return columns, invalid("columns", "board %s has no column %q: GET /v1/boards/%s lists those that it has", b.Name, name, b.Name)
		}
	}
	return columns, nil
}
