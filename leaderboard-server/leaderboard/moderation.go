package leaderboard

import (
	"context"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// What moderators do. Each has another one that takes it back.
const (
	// Ban leaves a player out of every ranking and keeps the player from everything else.
	Ban   AuditAction = "ban"
	Unban AuditAction = "unban"
	// ShadowBan leaves a player out of every ranking, and the player can go on.
	ShadowBan   AuditAction = "shadow-ban"
	ShadowUnban AuditAction = "shadow-unban"
	// Hide leaves a player out of the rankings of a board.
	Hide   AuditAction = "hide"
	Unhide AuditAction = "unhide"
	// Remove takes a player off a board: what was submitted to it up to now does not count.
	Remove  AuditAction = "remove"
	Restore AuditAction = "restore"
	// Void has one event not count.
	Void   AuditAction = "void"
	Unvoid AuditAction = "unvoid"
	// EndSeason ends the open season of a window. It cannot be taken back.
	EndSeason AuditAction = "end-season"
	// AcceptSubmission has a submission that was held back count, and RejectSubmission has it
	// never count. Neither can be taken back, but what was accepted can be voided.
	AcceptSubmission AuditAction = "accept"
	RejectSubmission AuditAction = "reject"
	// ResetPassword makes what resets a player's password. It cannot be taken back.
	ResetPassword AuditAction = "reset-password"
)

// undone are the actions that others take back.
var undone = map[AuditAction]bool{Unban: true, ShadowUnban: true, Unhide: true, Restore: true, Unvoid: true}

// Undoes says that the action takes another one back.
func (a AuditAction) Undoes() bool { return undone[a] }

// Moderation is something that a moderator asks for.
type Moderation struct {
	Action AuditAction
	// Actor is the service account.
	Actor  string
	Player PlayerID
	// Board is a name, and Event a number; zero where the action is not about one.
	Board string
	Event int64
	// Submission is the number of one that was held back.
	Submission int64
	// Window is that whose season is ended.
	Window string
	// Reason is required, a note is not.
	Reason, Note string
}

// Record is what the audit has of the moderation.
func (m Moderation) Record(changed bool) AuditRecord {
	r := AuditRecord{Actor: m.Actor, Action: m.Action, Player: m.Player, Board: m.Board, Reason: m.Reason, Note: m.Note, Changed: changed}
	switch {
	case m.Submission != 0:
		r.What = "submission " + strconv.FormatInt(m.Submission, 10)
		if m.Event != 0 {
			r.What += ", event " + strconv.FormatInt(m.Event, 10)
		}
	case m.Event != 0:
		r.What = "event " + strconv.FormatInt(m.Event, 10)
	case m.Window != "":
		r.What = "window " + m.Window
	}
	return r
}

// Moderator changes what counts and who is shown, each time with a record in the audit.
type Moderator interface {
	// Moderate does it, in one transaction with its record. What is as it is asked for already
	// stays so, and is recorded as well. Rankings follow within a second.
	Moderate(ctx context.Context, moderation Moderation) (AuditRecord, error)
	// EndSeason ends the open season of a window in two seconds, and says when. CodeNoSeason:
	// none is open, or the next one is not announced yet.
	EndSeason(ctx context.Context, moderation Moderation) (record AuditRecord, ends time.Time, err error)
	// IssueReset stores what resets the player's password within ResetTTL, instead of what was
	// stored before.
	IssueReset(ctx context.Context, moderation Moderation, token SecretHash) (AuditRecord, error)
	// Audit returns records, the last one first.
	Audit(ctx context.Context, query AuditQuery) ([]AuditRecord, error)
}

// Moderate does what a moderator asks for.
func (s *Service) Moderate(ctx context.Context, m Moderation) (AuditRecord, error) {
	if err := s.checkModeration(m); err != nil {
		return AuditRecord{}, err
	}
	return s.Moderator.Moderate(ctx, m)
}

// IssueReset stores what resets a player's password.
func (s *Service) IssueReset(ctx context.Context, m Moderation, token SecretHash) (AuditRecord, error) {
	if err := s.checkModeration(m); err != nil {
		return AuditRecord{}, err
	}
	return s.Moderator.IssueReset(ctx, m, token)
}

// EndSeason ends the open season of a window.
func (s *Service) EndSeason(ctx context.Context, m Moderation) (AuditRecord, time.Time, error) {
	if err := s.checkModeration(m); err != nil {
		return AuditRecord{}, time.Time{}, err
	}
	board, err := s.Catalog().Lookup(m.Board)
	if err != nil {
		return AuditRecord{}, time.Time{}, err
	}
	if _, ok := board.Window(m.Window); !ok {
		return AuditRecord{}, time.Time{}, NoWindow(board, m.Window)
	}
	return s.Moderator.EndSeason(ctx, m)
}

func (s *Service) checkModeration(m Moderation) error {
	if err := checkText("reason", m.Reason, 1, MaxReason); err != nil {
		return err
	}
	if err := checkText("note", m.Note, 0, MaxNote); err != nil {
		return err
	}
	if m.Board == "" {
		return nil
	}
	_, err := s.Catalog().Lookup(m.Board)
	return err
}

// checkText refuses a text of a moderator that is not of so many bytes, or has characters that
// nobody sees.
func checkText(field, text string, least, most int) error {
	if len(text) < least || len(text) > most {
		return invalid(field, "%s must have %d to %d bytes in UTF-8", field, least, most)
	}
	for _, r := range text {
		if r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\t' {
			return invalid(field, "%s must be text without control characters other than line feeds and tabs", field)
		}
	}
	return nil
}

// ModeratedPlayer is what rankings are to have of a player who was moderated.
type ModeratedPlayer struct {
	Player int64
	// Number is that of the player's last moderation.
	Number int64
	// Through: states of entries that were reached by an event up to it are out of date.
	Through int64
	// Excluded are the boards from whose rankings the player is left out; 0: all.
	Excluded []int32
	// Standings are the player's, of every live ranking of which there are, and Events what is to
	// be joined to them: those behind the checkpoint, and those of windows without standings.
	Standings []Standing
	Events    []Event
}

// Entries are the entries that the player is to have.
func (p ModeratedPlayer) Entries(catalog *Catalog) map[EntryKey]Standing {
	entries := make(map[EntryKey]Standing)
	for _, s := range p.Standings {
		entries[s.EntryKey] = s
	}
	for _, e := range p.Events {
		catalog.Route(e, func(board LiveBoard, s Standing) {
			if board.Scoring.Ordered() || ExcludedFrom(p.Excluded, board.Number) {
				return
			}
			if had, ok := entries[s.EntryKey]; ok {
				s = board.Fold().Join(had, s)
			}
			entries[s.EntryKey] = s
		})
	}
	return entries
}

// ExcludedFrom says whether the boards, by number, from which a player is left out have this
// one among them.
func ExcludedFrom(excluded []int32, board int32) bool {
	for _, b := range excluded {
		if b == 0 || b == board {
			return true
		}
	}
	return false
}

// Replacement is what one shard of a ranking is to have of a player.
type Replacement struct {
	Player int64
	// Standings are those in the season and its segments; in others there is none.
	Standings []Standing
	// Through: what was reached by an event up to it is not joined any more.
	Through int64
}

// EveryEvent is the Through of a player who is left out: no event has a higher number.
const EveryEvent = 1<<48 - 1

// Following is a shard that is to follow moderations.
type Following struct {
	Shard
	// Ledger is the ledger's identity.
	Ledger string
	// After is the last moderation that the shard has followed so far.
	After int64
	// Token is of the one who has it follow the next ones: of two at once, neither is done.
	Token string
}
