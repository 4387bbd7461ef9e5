package leaderboard

import "slices"

// Whether a board takes submissions of players without a signature, as the boards file and the
// API say it.
const (
	signaturesNone     = "None"
	signaturesRequired = "Required"
)

// Signatures says whether submissions of players have to be signed: None or Required.
func (b Board) Signatures() string {
	if b.Signed {
		return signaturesRequired
	}
	return signaturesNone
}

// ImprovementBound is by how much one submission may improve the standing that its player has of
// all time: one that would by more is refused, or held back where Review says so. 0: by any.
func (b Board) ImprovementBound() int64 {
	if b.Review.ImprovementAbove != nil {
		return *b.Review.ImprovementAbove
	}
	return b.MaxImprovement
}

// BoundsImprovement says that ImprovementBound holds for the submissions to the board. While a
// board is being refolded its scoring is still the old one, for which it may mean nothing.
func (b Board) BoundsImprovement() bool {
	return b.ImprovementBound() > 0 && (b.Scoring == Best || b.Scoring == Latest)
}

// ByPlayer says that submissions of one player to the board are stored one after the other:
// what becomes of one depends on those before it.
func (b Board) ByPlayer() bool {
	return b.Scoring.Ordered() || b.BoundsImprovement() || b.Limits.Any()
}

// TooLarge is the refusal of a submission that would improve the player's standing by more than
// the board allows.
func (b Board) TooLarge() *Error {
	return Errorf(CodeImprovementTooLarge, "score",
		"a submission to board %s may improve the player's own standing by %d at the most, and this one would improve it by more; scores are from %d to %d, and a player's first one is held to that alone",
		b.Name, b.MaxImprovement, b.MinScore, b.MaxScore)
}

// checkSignature refuses a submission of a player that is not signed where it has to be.
func (b Board) checkSignature(s Submission) error {
	if b.Signed && s.Account == "" && !s.Signed {
		return Errorf(CodeSignatureRequired, "", "submissions to board %s have to be signed: log in again for a signing_key, and send Signature-Input, Signature and Content-Digest (RFC 9421)", b.Name)
	}
	return nil
}

// RequiresSignatures says whether submissions of players to any board have to be signed.
func (c *Catalog) RequiresSignatures() bool {
	return slices.ContainsFunc(c.list, func(b LiveBoard) bool { return b.Active && b.Signed })
}

func (b Board) validatePlausibility() error {
	switch {
	case b.Signed && b.ServersOnly:
		return invalid("signatures", "signatures of board %s are of players, and its submitters are Servers, who need none: leave signatures out", b.Name)
	case b.MaxImprovement < 0 || b.MaxImprovement > MaxScore:
		return invalid("maxImprovement", "maxImprovement of board %s must be from 1 to %d", b.Name, int64(MaxScore))
	case b.MaxImprovement > 0 && b.Scoring == First:
		return invalid("maxImprovement", "maxImprovement of board %s: with the scoring First nothing improves what a player has; leave it out, maxScore and minScore bound the first submission", b.Name)
	case b.MaxImprovement > 0 && b.Scoring == Sum:
		return invalid("maxImprovement", "maxImprovement of board %s: with the scoring Sum a submission improves the sum by its own score; leave it out, and set maxScore or minScore", b.Name)
	case b.MaxImprovement > 0 && b.Scoring == Count:
		return invalid("maxImprovement", "maxImprovement of board %s: with the scoring Count each submission adds 1; leave it out", b.Name)
	}
	return nil
}
