package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// exportTimeout bounds how long an export takes: some 10 s for each million of
	// submissions that the game has from the player's time.
	exportTimeout = 5 * time.Minute
	// exportPause is how long the reader of an export may take nothing of it.
	exportPause = 30 * time.Second
)

// export answers with all that the game keeps of a player, in one document that is written
// while it is read.
func (a *API) export(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.player(r)
	if err != nil {
		return err
	}
	if err := readQuery(r).finish(); err != nil {
		return err
	}
	if err := a.limit(r, "export-player", string(identity.Player), a.HTTP.ExportRatePerPlayer); err != nil {
		return err
	}
	end, err := a.exports.begin(string(identity.Player))
	if err != nil {
		return err
	}
	defer end()

	ctx, cancel := longer(r.Context(), exportTimeout)
	defer cancel()

	data, err := service.PlayerData(ctx, identity.Player)
	if err != nil {
		return err
	}
	return writeExport(ctx, w, service, data)
}

// longer is a context that ends as its parent does, but by another deadline.
func longer(parent context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(parent), timeout)
	stop := context.AfterFunc(parent, func() {
		if !errors.Is(parent.Err(), context.DeadlineExceeded) {
			cancel()
		}
	})
	return ctx, func() {
		stop()
		cancel()
	}
}

// exportEnd ends an export whose submissions are still to come, which are its last field.
var exportEnd = []byte("]}")

// writeExport writes the document. What fails after its beginning ends the connection, so
// that half of it does not look whole.
func writeExport(ctx context.Context, w http.ResponseWriter, service *leaderboard.Service, data leaderboard.PlayerData) error {
	head, ok := bytes.CutSuffix(bytes.TrimSpace(encode(exported(data))), exportEnd)
	if !ok {
		return fmt.Errorf("the submissions are not the last field of an export")
	}

	connection := http.NewResponseController(w)
	write := func(content []byte) error {
		if err := connection.SetWriteDeadline(time.Now().Add(exportPause)); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}

	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("Content-Disposition", `attachment; filename="player.json"`)
	err := write(head)
	separator := ""
	if err == nil {
		_, err = service.EachSubmission(ctx, data.Number, func(submissions []leaderboard.PastSubmission) error {
			var part bytes.Buffer
			for _, s := range submissions {
				part.WriteString(separator)
				part.Write(bytes.TrimSpace(encode(pastSubmission(s, true))))
				separator = ","
			}
			return write(part.Bytes())
		})
	}
	if err == nil {
		err = write(append(exportEnd, '\n'))
	}
	if err != nil {
		panic(fmt.Errorf("write an export: %w", err))
	}
	return nil
}

// exported is the document without submissions.
func exported(data leaderboard.PlayerData) PlayerExport {
	document := PlayerExport{ExportedAt: time.Now().UTC(), UserID: string(data.ID), Username: data.Username, RegisteredAt: data.CreatedAt.UTC(),
		UsernamesBefore: pastUsernames(data.PastNames), Logins: playerLogins(data.Logins), Attributes: data.Attributes, Entries: make([]Entry, len(data.Entries)), Submissions: []PastSubmission{}}
	if len(data.Held) > 0 {
		document.HeldSubmissions = new(heldSubmissions(data.Held))
	}
	if data.ExternalID != "" {
		document.ExternalID = &data.ExternalID
	}
	for i, e := range data.Entries {
		document.Entries[i] = entry(e)
		document.Entries[i].ReachedAt, document.Entries[i].Metadata = reachedAt(true, e.ReachedAt), metadataOf(true, e.Metadata)
	}
	return document
}
