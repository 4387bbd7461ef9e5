package httpapi

import (
	"context"
	"errors"
	"math"
	"net/http"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func (a *API) page(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	q := readQuery(r)
	key := pageKey{
		page:  q.integer("page", 1, math.MaxInt64),
		size:  q.integer("page_size", min(leaderboard.DefaultPageSize, int64(a.HTTP.MaxPageSize)), int64(a.HTTP.MaxPageSize)),
		board: q.text("game_id", leaderboard.GlobalBoard),

		include: q.include(),
	}

	if err := q.finish(); err != nil {
		return err
	}

	viewer, live := a.wantsLive(w, r)
	read := func(ctx context.Context) ([]byte, error) { return readPage(ctx, service, key, viewer) }
	var page document
	var err error
	if live {
		page.body, err = read(r.Context())
	} else {
		page, err = a.sharedPage(r.Context(), key, read)
	}
	if err == nil {
		err = holdAnswer(r, len(page.body))
	}
	if err != nil {
		return err
	}

	if live {
		writeBytes(w, mediaJSON, http.StatusOK, page.body)
	} else {
		answerAll(w, r, mediaJSON, page, a.HTTP.PageMaxAge)
	}
	return nil
}

// wantsLive says whether a request for a page brings a good token, of either kind. A player
// sees its own last submission: with a token pages are live, and no cache gives those of
// others. The viewer is as [API.viewer] has it.
func (a *API) wantsLive(w http.ResponseWriter, r *http.Request) (viewer leaderboard.PlayerID, live bool) {
	w.Header().Add("Vary", "Authorization")
	identity, err := a.authenticate(r)
	if err != nil {
		return "", false // of a player who is banned the identity is known all the same
	}
	return identity.Player, true
}

// sharedPage reads a page for those without a token.
func (a *API) sharedPage(ctx context.Context, key pageKey, read pageReader) (document, error) {
	if a.pages.covers(key) {
		return a.pages.get(ctx, key, read)
	}

	content, err := read(ctx)
	if err != nil {
		return document{}, err
	}
	return newDocument(content), nil
}

func readPage(ctx context.Context, service *leaderboard.Service, key pageKey, viewer leaderboard.PlayerID) ([]byte, error) {
	page, err := service.Page(ctx, leaderboard.View{Board: key.board, Include: key.include, Viewer: viewer}, key.page, key.size)
	if err != nil {
		return nil, err
	}

	body := Leaderboard{GameID: page.Board, Page: page.Page, PageSize: page.PageSize, TotalEntries: page.TotalEntries,
		Leaderboard: pageEntries(page.Entries, key.include)}

	return encode(body), nil
}

func entry(e leaderboard.BoardEntry) Entry {
	on := e.On
	entry := Entry{Board: on.Board, Rank: e.Rank, UserID: string(e.Player), Username: e.Username, OwnerID: e.OwnerID, OwnerName: e.OwnerName,
		Score: e.Score, Columns: columns(e.Columns), GameID: e.Board,
		TotalEntries: e.TotalEntries, Percentile: float64(e.Percentile) / 100}
	if entry.Season = seasonOf(on); entry.Season != nil {
		entry.Window = &on.Window
	}
	entry.Segment = segmentOf(on)
	return entry
}

// columns are those of an answer, which has none where the board has none.
func columns(named map[string]int64) *Columns {
	if named == nil {
		return nil
	}
	c := Columns(named)
	return &c
}

func pageEntry(e leaderboard.RankedEntry) PageEntry {
	entry := PageEntry{Rank: e.Rank, OwnerID: e.OwnerID, OwnerName: e.OwnerName, Score: e.Score, Columns: columns(e.Columns), GameID: e.Board}
	if e.Player != "" {
		id := string(e.Player)
		entry.UserID, entry.Username = &id, &e.Username
	}
	return entry
}

func (a *API) myRank(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.player(r)
	if err != nil {
		return err
	}

	q := readQuery(r)
	view := leaderboard.View{Board: q.text("game_id", leaderboard.GlobalBoard), Viewer: identity.Player}
	view.Include, view.Segments = q.includeOwn()
	if err := q.finish(); err != nil {
		return err
	}

	e, err := service.Rank(r.Context(), identity.Player, view)
	if err != nil {
		return err
	}

	body := entry(e)
	body.ReachedAt, body.Metadata = reachedAt(view.ReachedAt, e.ReachedAt), metadataOf(view.Metadata, e.Metadata)
	body.Segments = segmentRanks(view.Segments, e.Segments)
	answer(w, http.StatusOK, body)
	return nil
}

func (a *API) topPlayers(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.holder(r, accounts.Read)
	if err != nil {
		return err
	}
	if err := a.limit(r, "report-player", bucket(identity), a.HTTP.ReportRatePerPlayer); err != nil {
		return err
	}

	q := readQuery(r)
	query := leaderboard.ReportQuery{
		From:     q.date("start_date"),
		To:       q.date("end_date"),
		TimeZone: q.text("time_zone", ""),
		Board:    q.text("game_id", leaderboard.GlobalBoard),
		Limit:    int(q.integer("limit", leaderboard.DefaultReportLimit, leaderboard.MaxReportLimit)),
	}

	if err := q.finish(); err != nil {
		return err
	}

	report, err := service.TopPlayers(r.Context(), query)
	if err != nil {
		return err
	}

	body := make([]ReportRow, len(report.Rows))
	for i, row := range report.Rows {
		body[i] = ReportRow{Board: query.Board, Scoring: string(report.Scoring), Rank: row.Rank, UserID: string(row.Player), Username: row.Username, OwnerID: row.OwnerID, OwnerName: row.OwnerName, GameID: row.Board, Score: row.Score,
			TotalScoresSubmitted: row.Submissions, DateRangeStart: query.From.String(), DateRangeEnd: query.To.String()}
	}

	answer(w, http.StatusOK, body)
	return nil
}

// date takes a day that has to be there.
func (q *query) date(name string) leaderboard.Date {
	text := q.required(name)
	if text == "" {
		return leaderboard.Date{}
	}

	day, err := leaderboard.ParseDate(name, text)
	var e *leaderboard.Error
	if errors.As(err, &e) {
		q.wrong(name, "%s", e.Message)
	}

	return day
}
