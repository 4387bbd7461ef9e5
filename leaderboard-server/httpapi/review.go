package httpapi

import (
	"net/http"
	"strconv"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// defaultHeldPage is how many submissions that were held back a page has.
const defaultHeldPage = 50

// pendingSubmissions answers with submissions that wait for a decision.
func (a *API) pendingSubmissions(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	if _, err := a.reviewer(r); err != nil {
		return err
	}

	q := readQuery(r)
	query := heldQuery(q)
	query.Board = q.text("board", "")
	if err := q.finish(); err != nil {
		return err
	}

	list, err := service.HeldSubmissions(r.Context(), query)
	if err != nil {
		return err
	}
	body := heldPage(list, query.Limit)
	for i := range body.Submissions {
		body.Submissions[i].Reason = new(string(list[i].Reason))
	}
	return answerHeld(w, r, body)
}

// ownHeldSubmissions answers with what was held back of the player whose token it is.
func (a *API) ownHeldSubmissions(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.player(r)
	if err != nil {
		return err
	}

	q := readQuery(r)
	query := heldQuery(q)
	query.Player = identity.Player
	if err := q.finish(); err != nil {
		return err
	}

	list, err := service.HeldSubmissions(r.Context(), query)
	if err != nil {
		return err
	}
	return answerHeld(w, r, heldPage(list, query.Limit))
}

// decide accepts a submission that is held back, or rejects it.
func (a *API) decide(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.reviewer(r)
	if err != nil {
		return err
	}
	action, err := pathParameter(r, "action")
	if err != nil {
		return err
	}
	decide, m := service.Accept, leaderboard.Moderation{Action: leaderboard.AcceptSubmission, Actor: identity.Account}
	switch action {
	case "accept":
	case "reject":
		decide, m.Action = service.Reject, leaderboard.RejectSubmission
	default:
		return newProblem(kindNotFound, "there is no action "+quote(action)+" here: /openapi.yaml describes what there is")
	}

	id, err := submissionInPath(r)
	if err != nil {
		return err
	}
	if m.Reason, m.Note, err = readReason(r); err != nil {
		return err
	}
	record, held, err := decide(r.Context(), m, id)
	if err != nil {
		return err
	}
	a.logRecord(r, record)
	answer(w, http.StatusOK, Decision{Submission: heldSubmission(held), Record: auditRecord(record)})
	return nil
}

// reviewer finds who decides on submissions: a moderator, or a server that could submit the score
// itself.
func (a *API) reviewer(r *http.Request) (auth.Identity, error) {
	return a.server(r, accounts.Moderate, accounts.Submit)
}

// submissionInPath is the number of the submission that a call is about.
func submissionInPath(r *http.Request) (int64, error) {
	text, err := pathParameter(r, "submission")
	if err != nil {
		return 0, err
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 || id > maxEvent {
		return 0, invalidFields([]FieldError{{Field: "submission", Message: "submission must be the number of one that was held back, as GET /v1/admin/submissions has it"}})
	}
	return id, nil
}

// heldQuery takes which part of a list is asked for.
func heldQuery(q *query) leaderboard.HeldQuery {
	return leaderboard.HeldQuery{Limit: int(q.integer("page_size", defaultHeldPage, leaderboard.MaxHeldPage)), After: q.integer("cursor", 0, 1e15-1)}
}

// heldPage is a part of a list of at most limit.
func heldPage(list []leaderboard.HeldSubmission, limit int) HeldSubmissions {
	body := HeldSubmissions{Submissions: heldSubmissions(list)}
	if len(list) == limit {
		body.NextCursor = new(strconv.FormatInt(list[limit-1].ID, 10))
	}
	return body
}

func heldSubmissions(list []leaderboard.HeldSubmission) []HeldSubmission {
	described := make([]HeldSubmission, len(list))
	for i, h := range list {
		described[i] = heldSubmission(h)
	}
	return described
}

// heldSubmission is what everyone is told of one.
func heldSubmission(h leaderboard.HeldSubmission) HeldSubmission {
	body := HeldSubmission{Submission: h.ID, Status: string(h.State), UserID: string(h.Player), Username: h.Username, GameID: h.Board, Score: h.Score,
		Columns: columns(h.Values), Metadata: metadataOf(h.Metadata != "", h.Metadata), SubmittedAt: h.At}
	if !h.DecidedAt.IsZero() {
		body.DecidedAt = &h.DecidedAt
	}
	if h.Event != 0 {
		body.Event = &h.Event
	}
	return body
}
