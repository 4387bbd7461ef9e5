package httpapi

import (
	"encoding/binary"
	"net/http"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// historyPurpose tells cursors of histories from those of walks.
	historyPurpose = "history"
	// historyVersion begins the content of a cursor; another layout needs another.
	historyVersion = 1
)

// history answers with a part of what a player submitted to a board.
func (a *API) history(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.holder(r, accounts.Read)
	if err != nil {
		return err
	}
	if err := a.limit(r, "history-player", bucket(identity), a.HTTP.HistoryRatePerPlayer); err != nil {
		return err
	}

	q := readQuery(r)
	view, err := a.view(r, q)
	if err != nil {
		return err
	}
	size := q.integer("page_size", min(leaderboard.DefaultPageSize, int64(a.HTTP.MaxPageSize)), int64(a.HTTP.MaxPageSize))
	cursor := q.text("cursor", "")
	view.Metadata = len(q.included(includeMetadata)) > 0
	if err := q.finish(); err != nil {
		return err
	}

	if view.Board, err = pathParameter(r, "board"); err != nil {
		return err
	}
	name, err := pathParameter(r, "player")
	if err != nil {
		return err
	}
	player, err := a.playerNamed(r, service, name)
	if err != nil {
		return err
	}
	var from *leaderboard.HistoryCursor
	if cursor != "" {
		if from, err = openSealed(a, historyPurpose, cursor, "a history of this game", parseHistoryCursor); err != nil {
			return err
		}
	}

	history, err := service.History(r.Context(), view, player, from, size)
	if err != nil {
		return err
	}

	body := History{Board: history.Board, Window: history.Window, Season: seasonOf(history.Of), Segment: segmentOf(history.Of), UserID: string(history.ID), Username: history.Username, OwnerID: history.OwnerID, OwnerName: history.OwnerName,
		Since: history.Since, Submissions: make([]PastSubmission, len(history.Submissions))}
	for i, s := range history.Submissions {
		body.Submissions[i] = pastSubmission(s, view.Metadata)
	}
	if history.Next != nil {
		next, err := a.Tokens.Seal(historyPurpose, formatHistoryCursor(history.Next))
		if err != nil {
			return err
		}
		body.NextCursor = &next
	}
	return answerHeld(w, r, body)
}

func pastSubmission(s leaderboard.PastSubmission, metadata bool) PastSubmission {
	return PastSubmission{Event: s.Event, Score: s.Score, Columns: columns(s.Columns), SubmittedAt: s.At, GameID: s.Board, Metadata: metadataOf(metadata, s.Metadata)}
}

func formatHistoryCursor(c *leaderboard.HistoryCursor) []byte {
	b := []byte{historyVersion}
	b = binary.AppendUvarint(b, uint64(c.Board))
	b = binary.AppendUvarint(b, uint64(c.Season))
	b = binary.AppendUvarint(b, uint64(c.Player))
	b = binary.AppendVarint(b, c.Place.At.UnixMicro())
	return binary.AppendUvarint(b, uint64(c.Place.Event))
}

// parseHistoryCursor reads what formatHistoryCursor wrote.
func parseHistoryCursor(content []byte) (c *leaderboard.HistoryCursor, ok bool) {
	r := cursorReader{rest: content}
	if version := r.bytes(1); version == nil || version[0] != historyVersion {
		return nil, false
	}

	c = &leaderboard.HistoryCursor{Board: int32(r.uvarint()), Season: int32(r.uvarint()), Player: int64(r.uvarint())}
	c.Place.At, c.Place.Event = time.UnixMicro(r.varint()).UTC(), int64(r.uvarint())
	return c, !r.short && len(r.rest) == 0
}
