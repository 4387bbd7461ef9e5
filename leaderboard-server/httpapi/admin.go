package httpapi

import (
	"net/http"
	"strconv"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// The actions of each call, as paths have them.
var (
	playerActions = map[string]leaderboard.AuditAction{"ban": leaderboard.Ban, "unban": leaderboard.Unban,
		"shadow_ban": leaderboard.ShadowBan, "shadow_unban": leaderboard.ShadowUnban}
	entryActions = map[string]leaderboard.AuditAction{"hide": leaderboard.Hide, "unhide": leaderboard.Unhide,
		"remove": leaderboard.Remove, "restore": leaderboard.Restore}
	eventActions = map[string]leaderboard.AuditAction{"void": leaderboard.Void, "unvoid": leaderboard.Unvoid}
)

const (
	// defaultAuditPage is how many records a page of the audit has.
	defaultAuditPage = 50
	// maxEvent is the highest number that an event may have.
	maxEvent = 1<<48 - 1
)

// readModeration reads what a moderator asks for; the action is one of those.
func (a *API) readModeration(r *http.Request, actions map[string]leaderboard.AuditAction) (m leaderboard.Moderation, err error) {
	identity, err := a.server(r, accounts.Moderate)
	if err != nil {
		return m, err
	}

	action, err := pathParameter(r, "action")
	if err != nil {
		return m, err
	}
	var known bool
	if m.Action, known = actions[action]; !known {
		return m, newProblem(kindNotFound, "there is no action "+quote(action)+" here: /openapi.yaml describes what there is")
	}
	return aboutPlayer(r, identity, m.Action)
}

// aboutPlayer reads what the service account asks for about the player in the path, and why.
func aboutPlayer(r *http.Request, identity auth.Identity, action leaderboard.AuditAction) (m leaderboard.Moderation, err error) {
	m = leaderboard.Moderation{Action: action, Actor: identity.Account}
	if m.Player, err = playerInPath(r); err != nil {
		return m, err
	}
	m.Reason, m.Note, err = readReason(r)
	return m, err
}

// playerInPath is the player whom a call is about, by id.
func playerInPath(r *http.Request) (leaderboard.PlayerID, error) {
	text, err := pathParameter(r, "player")
	if err != nil {
		return "", err
	}
	id, ok := parsePlayerID(text)
	if !ok {
		return "", invalidFields([]FieldError{{Field: "player", Message: "player must be a user_id"}})
	}
	return id, nil
}

// readReason reads the body of what a moderator does.
func readReason(r *http.Request) (reason, note string, err error) {
	if err := readQuery(r).finish(); err != nil {
		return "", "", err
	}
	b, err := readBody(r)
	if err != nil {
		return "", "", err
	}
	reason, note = b.text("reason", true), b.text("note", false)
	return reason, note, b.finish()
}

func (a *API) moderatePlayer(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	m, err := a.readModeration(r, playerActions)
	if err != nil {
		return err
	}
	return a.moderate(w, r, service, m)
}

func (a *API) moderateEntry(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	m, err := a.readModeration(r, entryActions)
	if err == nil {
		m.Board, err = pathParameter(r, "board")
	}
	if err != nil {
		return err
	}
	return a.moderate(w, r, service, m)
}

func (a *API) moderateEvent(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	m, err := a.readModeration(r, eventActions)
	if err == nil {
		m.Board, err = pathParameter(r, "board")
	}
	if err != nil {
		return err
	}

	event, err := pathParameter(r, "event")
	if err != nil {
		return err
	}
	if m.Event, err = strconv.ParseInt(event, 10, 64); err != nil || m.Event < 1 || m.Event > maxEvent {
		return invalidFields([]FieldError{{Field: "event", Message: "event must be the number of a submission, as the history of the player has it"}})
	}
	return a.moderate(w, r, service, m)
}

// moderate does it and answers with its record.
func (a *API) moderate(w http.ResponseWriter, r *http.Request, service *leaderboard.Service, m leaderboard.Moderation) error {
	record, err := service.Moderate(r.Context(), m)
	if err != nil {
		return err
	}
	a.answerRecord(w, r, record)
	return nil
}

func (a *API) answerRecord(w http.ResponseWriter, r *http.Request, record leaderboard.AuditRecord) {
	a.logRecord(r, record)
	answer(w, http.StatusOK, auditRecord(record))
}

// logRecord leaves the number and the hash where the schema's owner cannot change them.
func (a *API) logRecord(r *http.Request, record leaderboard.AuditRecord) {
	a.Log.InfoContext(r.Context(), "a record was added to the audit", "head", leaderboard.AuditHead{Number: record.Number, Hash: record.Hash}.String(),
		"action", record.Action, "actor", record.Actor, "changed", record.Changed)
}

// endSeason ends the open season of a window.
func (a *API) endSeason(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.server(r, accounts.Moderate, accounts.Admin)
	if err != nil {
		return err
	}
	m := leaderboard.Moderation{Action: leaderboard.EndSeason, Actor: identity.Account}
	if m.Board, err = pathParameter(r, "board"); err != nil {
		return err
	}
	if m.Window, err = pathParameter(r, "window"); err != nil {
		return err
	}
	if m.Reason, m.Note, err = readReason(r); err != nil {
		return err
	}

	record, ends, err := service.EndSeason(r.Context(), m)
	if err != nil {
		return err
	}
	a.logRecord(r, record)
	answer(w, http.StatusOK, SeasonEnd{EndsAt: ends, Record: auditRecord(record)})
	return nil
}

// audit answers with a part of the audit.
func (a *API) audit(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	if _, err := a.server(r, accounts.Moderate, accounts.Admin); err != nil {
		return err
	}

	q := readQuery(r)
	query := leaderboard.AuditQuery{Limit: int(q.integer("page_size", defaultAuditPage, leaderboard.MaxAuditPage)), Before: q.integer("cursor", 0, 1e18-1)}
	if player := q.text(userID, ""); player != "" {
		id, ok := parsePlayerID(player)
		if query.Player = id; !ok {
			q.wrong(userID, "user_id must be the id of a player")
		}
	}
	if err := q.finish(); err != nil {
		return err
	}

	records, err := service.Audit(r.Context(), query)
	if err != nil {
		return err
	}
	body := Audit{Records: make([]AuditRecord, len(records))}
	for i, record := range records {
		body.Records[i] = auditRecord(record)
	}
	if len(records) == query.Limit {
		if last := records[len(records)-1].Number; last > 1 {
			next := strconv.FormatInt(last, 10)
			body.NextCursor = &next
		}
	}
	return answerHeld(w, r, body)
}

func auditRecord(r leaderboard.AuditRecord) AuditRecord {
	optional := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	return AuditRecord{Number: r.Number, At: r.At, Actor: r.Actor, Action: string(r.Action), UserID: optional(string(r.Player)), Board: optional(r.Board),
		What: optional(r.What), Reason: r.Reason, Note: optional(r.Note), Changed: r.Changed, Hash: r.Hash.String()}
}
