package httpapi

import (
	"math"
	"net/http"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func (a *API) boards(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	if err := readQuery(r).finish(); err != nil {
		return err
	}

	body := BoardList{Boards: []Board{}}
	catalog := service.Catalog()
	now := catalog.Now()
	for _, b := range catalog.All() {
		if b.Active {
			body.Boards = append(body.Boards, describe(catalog, b, now))
		}
	}

	a.answerPublic(w, r, body)
	return nil
}

func (a *API) board(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	if err := readQuery(r).finish(); err != nil {
		return err
	}

	name, err := pathParameter(r, "board")
	if err != nil {
		return err
	}

	catalog := service.Catalog()
	board, err := catalog.Lookup(name)
	if err != nil {
		return err
	}

	a.answerPublic(w, r, describe(catalog, board, catalog.Now()))
	return nil
}

func describe(catalog *leaderboard.Catalog, b leaderboard.LiveBoard, now time.Time) Board {
	board := Board{GameID: b.Name, Order: string(b.Order), Scoring: string(b.Scoring),
		MinScore: b.MinScore, MaxScore: b.MaxScore, CountsTowardGlobal: b.CountsTowardGlobal, Direct: !b.Derived, Owners: b.Owners(), Submitters: b.Submitters(), Signatures: b.Signatures(), Decimals: b.Decimals,
		Ranks: string(b.Ranks), Columns: make([]Column, len(b.Columns)), MaxMetadataBytes: b.Metadata.MaxBytes, AllTime: !b.WindowsOnly, Windows: make([]Window, len(b.Windows)),
		Segments: describeSegments(catalog, b)}
	if b.MaxImprovement > 0 && b.BoundsImprovement() {
		board.MaxImprovement = &b.MaxImprovement
	}
	board.Limits = describeLimits(b.Limits)
	if b.Review.When != "" {
		board.Review = new(string(b.Review.When))
	}
	for i, c := range b.Columns {
		board.Columns[i] = Column{Column: c.Name, Order: string(c.Order), Min: c.Min, Max: c.Max, Decimals: c.Decimals}
	}
	for i, w := range b.Windows {
		board.Windows[i] = describeWindow(b, w, now)
	}
	return board
}

func describeWindow(b leaderboard.LiveBoard, w leaderboard.Window, now time.Time) Window {
	window := Window{Window: w.Name, TimeZone: w.TimeZone, Keep: w.Keep}
	if !w.Once() {
		window.Schedule = &w.Schedule
	}

	for _, s := range b.Seasons {
		if s.Window != w.Name {
			continue
		}
		season := describeSeason(s, now)
		switch season.State {
		case seasonAnnounced:
			if window.NextSeason == nil {
				window.NextSeason = &season
			}
		case seasonOpen:
			window.Season = &season
		case seasonClosed:
			window.LastClosed = &season
		}
	}
	return window
}

// The states of a season.
const (
	seasonAnnounced = "announced"
	seasonOpen      = "open"
	seasonClosing   = "closing"
	seasonClosed    = "closed"
)

func describeSeason(s leaderboard.Season, now time.Time) Season {
	season := Season{Season: s.Ordinal, State: seasonClosing, OpensAt: s.Opens, ClosesAt: s.Closes}
	switch {
	case s.Closed():
		season.State, season.ClosedAt, season.TotalEntries = seasonClosed, &s.ClosedAt, &s.Entries
	case now.Before(s.Opens):
		season.State = seasonAnnounced
	case s.OpenAt(now):
		season.State = seasonOpen
	}
	return season
}

// seasons answers with the seasons of a window.
func (a *API) seasons(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	const usual = 20
	q := readQuery(r)
	window := q.text("window", "")
	before := q.integer("before", 0, math.MaxInt32)
	limit := q.integer("limit", usual, leaderboard.MaxSeasonsListed)
	if err := q.finish(); err != nil {
		return err
	}

	board, err := pathParameter(r, "board")
	if err != nil {
		return err
	}

	list, err := service.Seasons(r.Context(), board, window, int32(before), int(limit))
	if err != nil {
		return err
	}

	body := SeasonList{Board: list.Board, Window: list.Window, Seasons: make([]Season, len(list.Seasons))}
	now := service.Catalog().Now()
	for i, s := range list.Seasons {
		body.Seasons[i] = describeSeason(s, now)
	}
	a.answerPublic(w, r, body)
	return nil
}

// view takes what of the board in the path is asked for.
func (a *API) view(r *http.Request, q *query) (view leaderboard.View, err error) {
	view = leaderboard.View{Window: q.text("window", ""), Season: int32(q.integer("season", 0, math.MaxInt32)), Viewer: a.viewer(r)}
	view.Segment, err = a.segment(r, q)
	return view, err
}

// seasonOf is the season that an answer is of; nil: that of all time.
func seasonOf(of leaderboard.Of) *int32 {
	if of.Season == 0 {
		return nil
	}
	return &of.Season
}
