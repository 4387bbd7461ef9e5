package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// submit takes a score: of the player whose token it is, or from a service account of the
// player that it names.
func (a *API) submit(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.holderToSubmit(r)
	if err != nil {
		return err
	}
	if identity.Account != "" {
		return a.submitFor(w, r, service, identity)
	}

	end, err := a.submissions.begin(bucket(identity))
	if err != nil {
		return err
	}
	defer end()

	signed := false
	submission, names, err := readSubmission(r, func(content []byte) (err error) {
		signed, err = a.checkSignature(r, service.Catalog(), content)
		return err
	})
	if err != nil {
		return err
	}
	if names.externalID != "" {
		return ofAnother(externalID)
	}
	if names.owner.ID != "" {
		return ofAnother(ownerID)
	}
	if named := submission.Player; named != "" && named != identity.Player {
		return ofAnother(userID)
	}

	submission.Player, submission.TokenVersion, submission.Signed = identity.Player, identity.TokenVersion, signed
	return a.store(w, r, service, submission, leaderboard.PlayerName{ID: identity.Player, Username: identity.Username})
}

// The fields that name whose a score is, and what an owner is called.
const (
	userID     = "user_id"
	externalID = "external_id"
	ownerID    = "owner_id"
	ownerName  = "owner_name"
)

// ofAnother refuses a player's submission that names another one.
func ofAnother(field string) error {
	p := newProblem(kindForbidden, "a player's token submits scores of that player alone: leave "+field+" out, or send the token of a service account with the scope "+string(accounts.Submit))
	p.errors = []FieldError{{Field: field, Message: p.detail}}
	return p
}

// submitFor takes the score of a player, or of an owner, from a service account.
func (a *API) submitFor(w http.ResponseWriter, r *http.Request, service *leaderboard.Service, identity auth.Identity) error {
	submission, names, err := readSubmission(r, func([]byte) error { return nil })
	if err != nil {
		return err
	}
	if err := names.check(submission.Player); err != nil {
		return err
	}
	if err := names.resolve(r.Context(), service, &submission); err != nil {
		return err
	}

	// Each player has a bound of its own, so that a player who uses it up keeps no server from
	// submitting for it.
	end, err := a.submissions.begin(bucket(identity) + " " + string(submission.Player))
	if err != nil {
		return err
	}
	defer end()

	player, err := service.Directory.Name(r.Context(), submission.Player)
	if unknown := (*leaderboard.Error)(nil); errors.As(err, &unknown) && unknown.Code == leaderboard.CodeNoPlayer {
		return unknown.Named(userID)
	}
	if err != nil {
		return err
	}
	if err := checkPlayer(player, submission); err != nil {
		return err
	}

	submission.Account = identity.Account
	return names.named(a.store(w, r, service, submission, player))
}

// readSubmission reads what a request brings, unless check refuses the content of its body;
// without user_id it has no player, whom the naming may name.
func readSubmission(r *http.Request, check func(content []byte) error) (submission leaderboard.Submission, names naming, err error) {
	if err := readQuery(r).finish(); err != nil {
		return submission, names, err
	}

	key, err := idempotencyKey(r)
	if err != nil {
		return submission, names, err
	}

	b, err := readBodyAfter(r, check)
	if err != nil {
		return submission, names, err
	}

	submission, names = b.submission(), b.naming()
	submission.IdempotencyKey = key
	return submission, names, b.finish()
}

// submission takes the fields of a score.
func (b *body) submission() leaderboard.Submission {
	return leaderboard.Submission{Player: b.player(userID), Board: b.board(), Score: b.integer("score"),
		Values: b.integers("columns", leaderboard.MaxColumns), Metadata: b.metadata()}
}

// store makes the submission durable and answers with its receipt, or with what is held back.
func (a *API) store(w http.ResponseWriter, r *http.Request, service *leaderboard.Service, submission leaderboard.Submission, of leaderboard.PlayerName) error {
	ctx, cancel := withoutClient(r.Context())
	defer cancel()

	receipt, err := service.Submit(ctx, submission)
	if err != nil {
		return err
	}

	if receipt.Held != nil {
		answer(w, http.StatusAccepted, heldSubmission(*receipt.Held))
		return nil
	}

	if receipt.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	tellAllowances(w, receipt.Allowances)

	answer(w, http.StatusOK, receiptOf(service.Catalog(), receipt, of))
	return nil
}

// receiptOf is what an answer says of a submission that is stored.
func receiptOf(catalog *leaderboard.Catalog, receipt leaderboard.Receipt, of leaderboard.PlayerName) Receipt {
	body := Receipt{UserID: string(receipt.Player), Username: of.Username, OwnerID: of.OwnerID, OwnerName: of.OwnerName, GameID: receipt.Board,
		ScoreSaved: receipt.Score, Replayed: receipt.Replayed, Ranking: Delayed}
	if receipt.Ranking == leaderboard.RankingLive {
		body.Ranking, body.Rank, body.Score = Live, &receipt.Rank, &receipt.StandingScore
		if board, err := catalog.Lookup(receipt.Board); err == nil {
			body.Columns = columns(board.Named(receipt.StandingColumns))
		}
		if !receipt.Replayed {
			body.Improved = &receipt.Improved
		}
	}
	return body
}

// withoutClient returns a context that ends with the request's time, though not
// with its client: a submission that was begun is stored either way, and has to
// count as under way until then, or clients that leave at once would have no bound.
func withoutClient(ctx context.Context) (context.Context, context.CancelFunc) {
	detached := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(detached, deadline)
	}
	return context.WithCancel(detached)
}

// board takes game_id; absent: the empty name, which is global.
func (b *body) board() string {
	const name = "game_id"
	if string(b.fields[name]) == `""` {
		b.wrong(name, "game_id is empty: give it a value, or leave it out")
	}
	return b.text(name, false)
}
