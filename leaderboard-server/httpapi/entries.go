package httpapi

import (
	"net/http"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// entries answers with a part of a board on a walk to its end.
func (a *API) entries(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	q := readQuery(r)
	size := q.integer("page_size", min(leaderboard.DefaultPageSize, int64(a.HTTP.MaxPageSize)), int64(a.HTTP.MaxPageSize))
	cursor := q.text("cursor", "")
	if err := q.finish(); err != nil {
		return err
	}

	board, err := pathParameter(r, "board")
	if err != nil {
		return err
	}

	var walk *leaderboard.Walk
	if cursor != "" {
		if walk, err = a.openCursor(cursor); err != nil {
			return err
		}
	}

	page, err := service.Walk(r.Context(), board, walk, size)
	if err != nil {
		return err
	}

	body := BoardEntries{GameID: page.Board, AsOf: page.AsOf.UTC(), TotalEntries: page.TotalEntries, Entries: make([]PageEntry, len(page.Entries))}
	for i, e := range page.Entries {
		body.Entries[i] = pageEntry(e)
	}

	if page.Next != nil {
		next, err := a.sealCursor(page.Next)
		if err != nil {
			return err
		}
		expires := page.Next.Expires.UTC()
		body.NextCursor, body.ExpiresAt = &next, &expires
	}

	answer(w, http.StatusOK, body)
	return nil
}
