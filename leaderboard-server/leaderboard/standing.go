package leaderboard

// EntryKey names a player's entry in one season of a board, by number.
type EntryKey struct {
	Board, Season int32
	Player        int64
}

// Standing is a player's place in one season of a board: a fold of the log.
type Standing struct {
	EntryKey
	Score int64
	// Columns are of the submission that Score is of; of the board where they are not 0.
	Columns Columns
	// Event is the event that reached the score: it breaks ties, lower first.
	Event int64
	// Last is the last event that counted. Where the scoring is not ordered it means
	// nothing and is Event.
	Last int64
	// Origin is the number of the board where the score was made: on GlobalBoard
	// that of the board that counted toward it, elsewhere the board itself.
	Origin int32
	// ReachedAt is the time of Event, in microseconds since 1970; 0: it is not known.
	ReachedAt int64
}

// Key names the standing's entry.
func (s Standing) Key() EntryKey { return s.EntryKey }

// Ordered says that a score depends on the order of a player's own events. Such a
// standing can be made only where that order is known: in the transaction that
// appends the event, by [Fold.Append]. All others are joins of their events, which may
// come twice, late or in any order.
func (s Scoring) Ordered() bool { return s == Latest || s == Sum || s == Count }

// Begin is the standing of a player whose first event is given as a standing.
func (s Scoring) Begin(event Standing) Standing {
	if s == Count {
		event.Score = 1
	}
	return event
}

// Single is the standing that an event makes by itself, where the scoring is not ordered and
// the board has no columns.
func Single(key EntryKey, score, event int64, origin int32) Standing {
	return Standing{EntryKey: key, Score: score, Event: event, Last: event, Origin: origin}
}

// With is the standing with columns.
func (s Standing) With(columns Columns) Standing {
	s.Columns = columns
	return s
}

// InSegment is the standing in a segment of its season.
func (s Standing) InSegment(value int32) Standing {
	s.Season = SegmentSeason(s.Season, value)
	return s
}

// Append folds an event that is later than all that made the standing s. A score
// that stays the same, with its columns, keeps the event that reached it first. improved says whether
// the standing got better. ok is false where a sum would leave +-MaxScore: the event
// must then be refused.
func (f Fold) Append(s, event Standing) (after Standing, improved, ok bool) {
	switch f.Scoring {
	case Latest:
		after = event
	case Sum:
		after = event
		after.Score += s.Score
		if after.Score < -MaxScore || after.Score > MaxScore {
			return s, false, false
		}
	case Count:
		after = event
		after.Score = s.Score + 1
	default:
		after = f.Join(s, event)
		return after, f.Compare(after, s) < 0, true
	}

	if f.Compare(after, s) == 0 {
		after.Event, after.ReachedAt = s.Event, s.ReachedAt
	}
	return after, f.Compare(after, s) < 0, true
}

// Join merges two states of one entry. It is commutative, associative and
// idempotent, so states may be joined twice, late or in any order: of an ordered
// scoring the state with the later event stays, of First the one with the lower event,
// and of Best the better score with its columns, and then the lower event.
func (f Fold) Join(a, b Standing) Standing {
	if f.Scoring.Ordered() {
		if b.Last > a.Last {
			return b
		}
		return a
	}
	if f.Scoring == First && b.Event < a.Event || f.Scoring != First && f.Before(b, a) {
		return b
	}
	return a
}
