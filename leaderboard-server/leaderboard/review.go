package leaderboard

import (
	"context"
	"time"
)

// ReviewWhen says which submissions of players a board holds back; empty: none.
type ReviewWhen string

const (
	// ReviewAlways holds all of them back.
	ReviewAlways ReviewWhen = "Always"
	// ReviewSuspicious holds those back that a rule is about.
	ReviewSuspicious ReviewWhen = "Suspicious"
)

// Review says which submissions of players a board holds back until a server of the game or a
// moderator accepts them. The zero value holds none back.
type Review struct {
	When ReviewWhen
	// BetterThan holds back what is better than this score, in the board's order; nil: nothing.
	BetterThan *int64
	// ImprovementAbove holds back what improves the standing that its player has of all time by
	// more; nil: nothing.
	ImprovementAbove *int64
}

// ReviewReason is why a submission is held back.
type ReviewReason string

const (
	// ReviewedAlways is that the board holds every submission of a player back.
	ReviewedAlways ReviewReason = "always"
	// ReviewedBetter is that the score is better than those that the board takes at once.
	ReviewedBetter ReviewReason = "better-than"
	// ReviewedImprovement is that it would improve the player's standing by more than those.
	ReviewedImprovement ReviewReason = "improvement-above"
)

// Bounds of what is held back.
const (
	// MaxHeldOfPlayer is how many submissions of one player to one board may wait for a decision,
	// and MaxHeld how many of a game: some more where players submit at the same time.
	MaxHeldOfPlayer = 20
	MaxHeld         = 10_000
	// KeepDecided is how long those that were decided on are kept.
	KeepDecided = 30 * 24 * time.Hour
	// MaxHeldPage is how many one answer has at most.
	MaxHeldPage = 200
)

// heldBack is why a submission of a player to the board is held back; empty: it is not.
func (b Board) heldBack(s Submission) ReviewReason {
	switch {
	case s.Account != "":
		return ""
	case b.Review.When == ReviewAlways:
		return ReviewedAlways
	case b.Review.When == ReviewSuspicious && b.Review.BetterThan != nil && b.Order.Better(s.Score, *b.Review.BetterThan):
		return ReviewedBetter
	}
	return ""
}

func (b Board) validateReview() error {
	r := b.Review
	switch {
	case r.When == "":
		return nil
	case r.When != ReviewAlways && r.When != ReviewSuspicious:
		return invalid("review.when", "review.when of board %s must be Always or Suspicious, or review left out", b.Name)
	case b.ServersOnly:
		return invalid("review", "review of board %s is of what players submit, and its submitters are Servers, whose submissions are taken at once: leave review out", b.Name)
	case r.When == ReviewAlways && b.Limits.Any():
		return invalid("limits", "limits of board %s are of submissions that are taken at once, and its review is Always, which takes none of players at once: leave limits out", b.Name)
	case r.When == ReviewAlways && (r.BetterThan != nil || r.ImprovementAbove != nil):
		return invalid("review.when", "review of board %s is Always, which holds every submission of a player back: leave betterThan and improvementAbove out, or set when to Suspicious", b.Name)
	case r.When == ReviewSuspicious && r.BetterThan == nil && r.ImprovementAbove == nil:
		return invalid("review.when", "review of board %s is Suspicious, which needs a rule: set betterThan or improvementAbove, or set when to Always", b.Name)
	case r.BetterThan != nil && (*r.BetterThan < -MaxScore || *r.BetterThan > MaxScore):
		return invalid("review.betterThan", "review.betterThan of board %s must be within +-%d", b.Name, int64(MaxScore))
	case r.ImprovementAbove == nil:
		return nil
	case *r.ImprovementAbove < 1 || *r.ImprovementAbove > MaxScore:
		return invalid("review.improvementAbove", "review.improvementAbove of board %s must be from 1 to %d", b.Name, int64(MaxScore))
	case b.Scoring != Best && b.Scoring != Latest || b.Name == GlobalBoard:
		return invalid("review.improvementAbove", "review.improvementAbove of board %s: what one submission improves is known where the scoring is Best or Latest, and not on %s: leave it out, and set betterThan", b.Name, GlobalBoard)
	case b.MaxImprovement > 0:
		return invalid("review.improvementAbove", "review.improvementAbove of board %s: maxImprovement refuses what it holds back, set one of them", b.Name)
	}
	return nil
}

// HeldState is what became of a submission that was held back.
type HeldState string

const (
	// HeldPending waits for a decision.
	HeldPending HeldState = "pending"
	// HeldAccepted counts.
	HeldAccepted HeldState = "accepted"
	// HeldRejected never will.
	HeldRejected HeldState = "rejected"
)

// HeldSubmission is a submission that was held back.
type HeldSubmission struct {
	// ID is from the numbers of events, and is that of none.
	ID       int64
	Player   PlayerID
	Username string
	// Board is the name of the board that it was submitted to.
	Board string
	Score int64
	// Values are the further columns as they were sent, by name.
	Values   map[string]int64
	Metadata string
	Reason   ReviewReason
	// At is when it came, by the ledger's clock.
	At    time.Time
	State HeldState
	// DecidedAt is when it was decided on; zero: it was not.
	DecidedAt time.Time
	// Event is the event that it became; 0: none.
	Event int64
}

// HeldQuery asks for submissions that were held back.
type HeldQuery struct {
	// Player asks for all of that player, the newest first; empty: for those that wait for a
	// decision, the oldest first, of Board, or where that is empty of all boards.
	Player PlayerID
	Board  string
	// After is the ID of the last one that is known; 0: from the beginning on.
	After int64
	Limit int
}

// Reviews keeps submissions that are held back.
type Reviews interface {
	// HoldBack keeps a submission until somebody decides on it. Where its idempotency key came
	// before with another one that was held back it returns that one, and nil where that one
	// counts. CodeTooManyPending: there is no room for more.
	HoldBack(ctx context.Context, submission Submission) (*HeldSubmission, error)
	// Held finds one; CodeNoHeld: there is none.
	Held(ctx context.Context, id int64) (HeldSubmission, error)
	// HeldSubmissions lists some.
	HeldSubmissions(ctx context.Context, query HeldQuery) ([]HeldSubmission, error)
	// Accept has the submission with the id count as submission says, in one transaction with
	// the record. One that counts already stays so. CodeDecided: it was rejected, or cannot
	// count any more.
	Accept(ctx context.Context, moderation Moderation, id int64, submission Submission) (AuditRecord, HeldSubmission, error)
	// Reject has it never count, in one transaction with the record. CodeDecided: it counts.
	Reject(ctx context.Context, moderation Moderation, id int64) (AuditRecord, HeldSubmission, error)
}

// reviewsImprovement says that a submission of a player which improves by too much is held back.
func (b Board) reviewsImprovement(s Submission) bool {
	return s.Account == "" && b.Review.ImprovementAbove != nil
}

// holdBack keeps a submission until somebody decides on it, or says what became of the one
// with its key.
func (s *Service) holdBack(ctx context.Context, submission Submission) (Receipt, error) {
	held, err := s.Reviews.HoldBack(ctx, submission)
	switch {
	case err != nil:
		return Receipt{}, err
	case held == nil:
		// It repeats one that counts. Were its key forgotten just now it must not be stored.
		submission.Refusal = Errorf(CodeUnavailable, "", "the submission was not stored, try again").After(time.Second)
		return s.commit(ctx, submission)
	case held.State == HeldRejected:
		return Receipt{}, Errorf(CodeSubmissionRejected, "", "the submission with this Idempotency-Key, number %d, was held back for review and rejected: it does not count", held.ID)
	}
	return Receipt{Player: held.Player, Board: held.Board, Score: held.Score, Held: held}, nil
}

// HeldSubmissions lists submissions that were held back.
func (s *Service) HeldSubmissions(ctx context.Context, query HeldQuery) ([]HeldSubmission, error) {
	if query.Limit < 1 || query.Limit > MaxHeldPage {
		return nil, invalid("page_size", "page_size must be from 1 to %d", MaxHeldPage)
	}
	if query.Board != "" {
		if _, err := s.Catalog().Lookup(query.Board); err != nil {
			return nil, err
		}
	}
	return s.Reviews.HeldSubmissions(ctx, query)
}

// Accept has a submission that was held back count from now on, in the seasons that are open
// now, by the rules that the board has now.
func (s *Service) Accept(ctx context.Context, m Moderation, id int64) (AuditRecord, HeldSubmission, error) {
	if err := s.checkModeration(m); err != nil {
		return AuditRecord{}, HeldSubmission{}, err
	}
	held, err := s.Reviews.Held(ctx, id)
	if err != nil {
		return AuditRecord{}, HeldSubmission{}, err
	}

	submission := Submission{Player: held.Player, Account: m.Actor, Board: held.Board, Score: held.Score, Values: held.Values, Metadata: held.Metadata}
	if held.State == HeldPending {
		if err := s.prepare(s.Catalog(), &submission); err != nil {
			return AuditRecord{}, HeldSubmission{}, err
		}
	}
	return s.Reviews.Accept(ctx, m, id, submission)
}

// Reject has a submission that was held back never count.
func (s *Service) Reject(ctx context.Context, m Moderation, id int64) (AuditRecord, HeldSubmission, error) {
	if err := s.checkModeration(m); err != nil {
		return AuditRecord{}, HeldSubmission{}, err
	}
	return s.Reviews.Reject(ctx, m, id)
}

// everyHeld are all submissions of a player that were held back and are kept.
func (s *Service) everyHeld(ctx context.Context, player PlayerID) (all []HeldSubmission, err error) {
	query := HeldQuery{Player: player, Limit: MaxHeldPage}
	for {
		part, err := s.Reviews.HeldSubmissions(ctx, query)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
		if len(part) < query.Limit {
			return all, nil
		}
		query.After = part[len(part)-1].ID
	}
}
