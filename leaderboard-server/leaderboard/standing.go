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
	// Event is the event that reached the score: it breaks ties, lower first.
	Event int64
	// Last is the last event that counted. Where the scoring is not ordered it means
	// nothing and is Event.
	Last int64
	// Origin is the number of the board where the score was made: on GlobalBoard
	// that of the board that counted toward it, elsewhere the board itself.
	Origin int32
}

// Key names the standing's entry.
func (s Standing) Key() EntryKey { return s.EntryKey }

// Before says whether standing a ranks before standing b.
func (o Order) Before(a, b Standing) bool {
	if a.Score != b.Score {
		return o.Better(a.Score, b.Score)
	}
	return a.Event < b.Event
}

// Ordered says that a score depends on the order of a player's own events. Such a
// standing can be made only where that order is known: in the transaction that
// appends the event, by [Append]. All others are joins of their events, which may
// come twice, late or in any order.
func (s Scoring) Ordered() bool { return s == Latest || s == Sum || s == Count }

// Begin is the standing of a player whose first event is given as a standing.
func (s Scoring) Begin(event Standing) Standing {
	if s == Count {
		event.Score = 1
	}
	return event
}

// Single is the standing that an event makes by itself, where the scoring is not ordered.
func Single(key EntryKey, score, event int64, origin int32) Standing {
	return Standing{EntryKey: key, Score: score, Event: event, Last: event, Origin: origin}
}

// Append folds an event that is later than all that made the standing s. A score
// that stays the same keeps the event that reached it first. improved says whether
// the standing got better. ok is false where a sum would leave +-MaxScore: the event
// must then be refused.
func Append(order Order, scoring Scoring, s, event Standing) (after Standing, improved, ok bool) {
	switch scoring {
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
		after = Join(order, scoring, s, event)
		return after, order.Better(after.Score, s.Score), true
	}

	if after.Score == s.Score {
		after.Event = s.Event
	}
	return after, order.Better(after.Score, s.Score), true
}

// Join merges two states of one entry. It is commutative, associative and
// idempotent, so states may be joined twice, late or in any order: of an ordered
// scoring the state with the later event stays, of First the one with the lower event,
// and of Best the better score and then the lower event.
func Join(order Order, scoring Scoring, a, b Standing) Standing {
	if scoring.Ordered() {
		if b.Last > a.Last {
			return b
		}
		return a
	}
	if scoring == First && b.Event < a.Event || scoring != First && order.Before(b, a) {
		return b
	}
	return a
}
