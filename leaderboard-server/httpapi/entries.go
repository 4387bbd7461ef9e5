package httpapi

import (
	"math"
	"net/http"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// entriesQuery is which part of a board is asked for.
type entriesQuery struct {
	view   leaderboard.View
	size   int64
	cursor string
	// page and fromRank are 0 where they were left out.
	page, fromRank int64
	scores         *leaderboard.ScoreRange
}

func (a *API) readEntriesQuery(r *http.Request) (entriesQuery, error) {
	q := readQuery(r)
	view, err := a.view(r, q)
	if err != nil {
		return entriesQuery{}, err
	}
	e := entriesQuery{view: view, size: q.integer("page_size", min(leaderboard.DefaultPageSize, int64(a.HTTP.MaxPageSize)), int64(a.HTTP.MaxPageSize))}
	e.view.Include = q.include()
	e.cursor = q.text("cursor", "")
	e.page, e.fromRank = q.integer("page", 0, math.MaxInt64), q.integer("from_rank", 0, math.MaxInt64)
	least, most := q.optional("min_score", -leaderboard.MaxScore, leaderboard.MaxScore), q.optional("max_score", -leaderboard.MaxScore, leaderboard.MaxScore)

	if least != nil || most != nil {
		e.scores = &leaderboard.ScoreRange{Min: -leaderboard.MaxScore, Max: leaderboard.MaxScore}
		if least != nil {
			e.scores.Min = *least
		}
		if most != nil {
			e.scores.Max = *most
		}
	}

	switch {
	case e.cursor != "" && (e.page != 0 || e.fromRank != 0 || e.scores != nil):
		q.wrong("cursor", "cursor goes on where another answer began or ended: leave out page, from_rank, min_score and max_score")
	case e.fromRank != 0 && (e.page != 0 || e.scores != nil):
		q.wrong("from_rank", "from_rank cannot be combined with page, min_score or max_score")
	}
	return e, q.finish()
}

// entries answers with a part of a board: live, or on a walk through it.
func (a *API) entries(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	query, err := a.readEntriesQuery(r)
	if err != nil {
		return err
	}
	if query.view.Board, err = pathParameter(r, "board"); err != nil {
		return err
	}
	if query.page == 0 && query.fromRank == 0 && query.scores == nil {
		return a.walk(w, r, service, query)
	}

	_, live := a.wantsLive(w, r)
	asOf := time.Now()
	var page leaderboard.Page
	switch {
	case query.fromRank != 0:
		page, err = service.PageFrom(r.Context(), query.view, query.fromRank, query.size)
	case query.scores != nil:
		page, err = service.PageInRange(r.Context(), query.view, *query.scores, max(query.page, 1), query.size)
	default:
		page, err = service.Page(r.Context(), query.view, query.page, query.size)
	}
	if err != nil {
		return err
	}

	if page.Closed() {
		asOf = page.ClosedAt
	}
	body := boardEntries(page.Of, asOf, page.TotalEntries, pageEntries(page.Entries, query.view.Include))
	if live {
		return answerHeld(w, r, body)
	}

	timeless := body // the tag is of what is there, whenever it was read
	timeless.AsOf = time.Time{}
	content := encode(body)
	if err := holdAnswer(r, len(content)); err != nil {
		return err
	}
	answerAll(w, r, mediaJSON, document{content, newDocument(encode(timeless)).tag}, a.HTTP.PageMaxAge)
	return nil
}

// walk answers with a part of a board on a walk through it.
func (a *API) walk(w http.ResponseWriter, r *http.Request, service *leaderboard.Service, query entriesQuery) error {
	var walk *leaderboard.Walk
	var err error
	if query.cursor != "" {
		if walk, err = a.openCursor(query.cursor); err != nil {
			return err
		}
	}

	page, err := service.Walk(r.Context(), query.view, walk, query.size)
	if err != nil {
		return err
	}

	body := boardEntries(page.Of, page.AsOf, page.TotalEntries, pageEntries(page.Entries, query.view.Include))
	for cursor, on := range map[**string]*leaderboard.Walk{&body.PreviousCursor: page.Previous, &body.NextCursor: page.Next} {
		if on == nil {
			continue
		}
		sealed, err := a.sealCursor(on)
		if err != nil {
			return err
		}
		if *cursor = &sealed; !page.Closed() {
			expires := on.Expires.UTC()
			body.ExpiresAt = &expires
		}
	}

	return answerHeld(w, r, body)
}

func boardEntries(of leaderboard.Of, asOf time.Time, total int64, entries []PageEntry) BoardEntries {
	return BoardEntries{GameID: of.Board, Window: of.Window, Season: seasonOf(of), Segment: segmentOf(of), AsOf: asOf.UTC(), TotalEntries: total, Entries: entries}
}

func pageEntries(entries []leaderboard.RankedEntry, include leaderboard.Include) []PageEntry {
	list := make([]PageEntry, len(entries))
	for i, e := range entries {
		list[i] = pageEntry(e)
		list[i].ReachedAt, list[i].Metadata = reachedAt(include.ReachedAt, e.ReachedAt), metadataOf(include.Metadata, e.Metadata)
	}
	return list
}

// entriesAround answers with the entries around a player's, or around a score.
func (a *API) entriesAround(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	const usual = 5
	q := readQuery(r)
	view, err := a.view(r, q)
	if err != nil {
		return err
	}
	view.Include = q.include()
	before, after := q.between("before", usual, 0, leaderboard.MaxNeighbours), q.between("after", usual, 0, leaderboard.MaxNeighbours)
	player := q.text("player", "")
	score := q.optional("score", -leaderboard.MaxScore, leaderboard.MaxScore)
	if (player == "") == (score == nil) && len(q.errs) == 0 {
		q.wrong("player", "name what the entries are around: player, which may be me, or score, and not both")
	}
	if err := q.finish(); err != nil {
		return err
	}

	if view.Board, err = pathParameter(r, "board"); err != nil {
		return err
	}

	var around leaderboard.RankedNeighbours
	if score != nil {
		around, err = service.AroundScore(r.Context(), view, *score, before, after)
	} else {
		var id leaderboard.PlayerID
		if id, err = a.playerNamed(r, service, player); err != nil {
			return err
		}
		around, err = service.AroundPlayer(r.Context(), view, id, before, after)
	}
	if err != nil {
		return err
	}

	return answerHeld(w, r, EntriesAround{Board: around.Board, Window: around.Window, Season: seasonOf(around.Of), Segment: segmentOf(around.Of), TotalEntries: around.TotalEntries, Rank: around.Rank, Entries: pageEntries(around.Entries, view.Include)})
}

// listEntries answers how the listed players do among themselves.
func (a *API) listEntries(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	if _, err := a.holder(r, accounts.Read); err != nil {
		return err
	}

	end, err := a.lists.begin(clientBucket(a.client(r)))
	if err != nil {
		return err
	}
	defer end()

	q := readQuery(r)
	view, err := a.view(r, q)
	if err != nil {
		return err
	}
	view.Include = q.include()
	if err := q.finish(); err != nil {
		return err
	}

	if view.Board, err = pathParameter(r, "board"); err != nil {
		return err
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	named := b.players("players")
	if err := b.finish(); err != nil {
		return err
	}
	players, err := playersNamed(r.Context(), service, "players", named)
	if err != nil {
		return err
	}

	list, err := service.List(r.Context(), view, players)
	if err != nil {
		return err
	}

	body := EntryList{Board: list.Board, Window: list.Window, Season: seasonOf(list.Of), Segment: segmentOf(list.Of), Entries: make([]ListedEntry, len(list.Entries)), WithoutEntry: make([]Player, len(list.Without))}
	for i, e := range list.Entries {
		body.Entries[i] = ListedEntry{Position: e.Position, Rank: e.Rank, UserID: string(e.Player), Username: e.Username, OwnerID: e.OwnerID, OwnerName: e.OwnerName, Score: e.Score, Columns: columns(e.Columns), GameID: e.Board,
			ReachedAt: reachedAt(view.ReachedAt, e.ReachedAt), Metadata: metadataOf(view.Metadata, e.Metadata)}
	}
	for i, name := range list.Without {
		body.WithoutEntry[i] = Player{UserID: string(name.ID), Username: name.Username, OwnerID: name.OwnerID, OwnerName: name.OwnerName}
	}

	return answerHeld(w, r, body)
}
