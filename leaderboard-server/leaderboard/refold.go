package leaderboard

import (
	"errors"
	"slices"
	"time"
)

// Rules are what of a board a refold changes: how submissions make its entries, and what those
// have.
type Rules struct {
	Order   Order
	Scoring Scoring
	Columns []Column
}

// Rules are the board's.
func (b Board) Rules() Rules { return Rules{b.Order, b.Scoring, b.Columns} }

// WithRules is the board with others.
func (b Board) WithRules(r Rules) Board {
	b.Order, b.Scoring, b.Columns = r.Order, r.Scoring, r.Columns
	return b
}

// Fold is that of a board with these rules.
func (r Rules) Fold() Fold { return Board{}.WithRules(r).Fold() }

// String is for messages.
func (r Rules) String() string {
	text := "order " + string(r.Order) + " and scoring " + string(r.Scoring)
	for i, c := range r.Columns {
		text += []string{", with the columns ", ", "}[min(i, 1)] + c.Name + " (" + string(c.Order) + ")"
	}
	return text
}

// Keeping is the board as it is configured, with the rules that there are. Bounds and decimals
// of columns are those that are configured. Whose the entries are stays, too.
func (b LiveBoard) Keeping(configured Board) Board {
	rules := b.Rules()
	rules.Columns = slices.Clone(rules.Columns)
	for i, c := range rules.Columns {
		if j := configured.columnNamed(c.Name); j >= 0 {
			is := configured.Columns[j]
			rules.Columns[i].Min, rules.Columns[i].Max, rules.Columns[i].Decimals = is.Min, is.Max, is.Decimals
		}
	}
	return b.keepOwners(configured).WithRules(rules)
}

// Asked are the rules of the board as it is configured. missing is a column of which past
// submissions have no values, so that it cannot get them; empty: there is none.
func (b LiveBoard) Asked(configured Board) (asked Rules, missing string) {
	asked, fold := configured.Rules(), b.Fold()
	asked.Columns = slices.Clone(asked.Columns)
	for i, c := range asked.Columns {
		j := b.columnNamed(c.Name)
		if j < 0 {
			return asked, c.Name
		}
		if asked.Columns[i].Logged = 0; fold.Place(j) != i {
			asked.Columns[i].Logged = fold.Place(j) + 1
		}
	}
	return asked, ""
}

// columnNamed is the index of a column; below 0: the board has none of that name.
func (b Board) columnNamed(name string) int {
	return slices.IndexFunc(b.Columns, func(c Column) bool { return c.Name == name })
}

// Refold is a change of a board's rules. Until it is done the board is as it was.
type Refold struct {
	// Rules are those that the board is to get.
	Rules
	// Season is the number of the ranking that is made; 0: none yet.
	Season int32
	// Refused says why it cannot be done as things are; empty: nothing is known against it.
	Refused string
	// Missing says that it was refused for a column of which past submissions have no values, or
	// for owners that the board does not have.
	Missing bool
	// AskedAt is when it was asked for, by the ledger's clock; of two of a board it is not the
	// same.
	AskedAt time.Time
	// Seasons are those of windows for which rankings are made, too.
	Seasons []RefoldedSeason
}

// RefoldedSeason is a season of a window for which a refold makes a ranking.
type RefoldedSeason struct {
	Season
	// Made is the number of the ranking, and the season's once the board is switched. The
	// ledger takes it of those that seasons are given, from 2 up, and none twice.
	Made int32
}

// RetiredRanking is one that a refold has superseded, or that was given up.
type RetiredRanking struct {
	Season int32
	Rules
	// At is when, by the ledger's clock.
	At time.Time
}

// firstRefold is below the numbers of rankings of all time that refolds have made. Seasons
// of windows, and the rankings that refolds make of them ([RefoldedSeason]), do not come to it.
const firstRefold = 1 << 30

// RefoldSeason is the number of the ranking that the n-th refold of a board makes, from 1.
func RefoldSeason(n int32) int32 { return firstRefold + n }

// isAllTime says whether a season's number is one of all time.
func isAllTime(season int32) bool { return season == allTimeSeason || season > firstRefold }

// rulesOf are those of one of the board's rankings.
func (b LiveBoard) rulesOf(season int32) Rules {
	season, _ = SplitSeason(season)
	own := b.Rules()
	if b.own != nil {
		own = *b.own
	}
	if season == 0 {
		return own
	}
	if b.Refold.makes(season) {
		return b.Refold.Rules
	}
	for _, r := range b.Retired {
		if r.Season == season {
			return r.Rules
		}
	}
	return own
}

// makes says whether a number is of a ranking that the refold makes; nil makes none.
func (r *Refold) makes(season int32) bool {
	return r != nil && (r.Season == season || slices.ContainsFunc(r.Seasons, func(s RefoldedSeason) bool { return s.Made == season }))
}

// HasRanking says whether a season's number is of one of the board's rankings, as far as
// they are known.
func (b LiveBoard) HasRanking(season int32) bool {
	return season == b.Season || b.Refold.makes(season) ||
		slices.ContainsFunc(b.Seasons, func(s Season) bool { return s.Number == season }) ||
		slices.ContainsFunc(b.Retired, func(r RetiredRanking) bool { return r.Season == season })
}

// Refolding are the active boards that are to get other rules.
func (c *Catalog) Refolding() []LiveBoard {
	var boards []LiveBoard
	for _, b := range c.list {
		if b.Refold != nil && b.Active {
			boards = append(boards, b)
		}
	}
	return boards
}

// ErrRefoldMoved says that a refold is not what the caller takes it for: the board's
// configuration was changed, or another process goes on with it.
var ErrRefoldMoved = errors.New("the refold was changed in the meantime")

// RefoldRefusedError says that a board cannot get other rules, and why.
type RefoldRefusedError struct {
	Reason string
	// Final says that it will not be another time, unless something else is asked for.
	Final bool
}

// Error is the reason.
func (r *RefoldRefusedError) Error() string { return r.Reason }

// ErrSeasonEnds says that a board is not given other rules now, as a season of a window is
// ending or has ended: it is closed first, by the rules that there are.
var ErrSeasonEnds = errors.New("a season is ending")

// RefoldWork is how far a refold has come.
type RefoldWork struct {
	// Board has the season that is made, and its rules. Its Refold has the seasons of windows.
	Board LiveBoard
	// Cut is up to which event the standings are made, once all parts are done, and Xid
	// below which transaction every event is up to Cut.
	Cut int64
	Xid uint64
	// Parts is in how many parts the players are folded, and PartsDone how many are.
	Parts, PartsDone int
	// Events is how many there were when it began, and Done how many of them are folded.
	Events, Done int64
}

// Seasons are those of windows for which rankings are made.
func (w RefoldWork) Seasons() []RefoldedSeason { return w.Board.Refold.Seasons }

// WithSeasons is the work with other seasons of windows.
func (w RefoldWork) WithSeasons(seasons []RefoldedSeason) RefoldWork {
	refold := *w.Board.Refold
	refold.Seasons = seasons
	w.Board.Refold = &refold
	return w
}

// Rankings are the board with each season that is made and whose ranking is served at a time,
// or will be within OpeningSoon.
func (w RefoldWork) Rankings(now time.Time) []LiveBoard {
	var rankings []LiveBoard
	if !w.Board.WindowsOnly {
		rankings = append(rankings, w.Board)
	}
	for _, s := range w.Seasons() {
		if w.Board.Serves(s.Season, now) {
			rankings = append(rankings, w.Board.In(s.Made))
		}
	}
	return rankings
}

// Folded says that all parts are done.
func (w RefoldWork) Folded() bool { return w.PartsDone >= w.Parts }
