package leaderboard

import "context"

// MaxSubmissions is how many submissions [Service.SubmitAll] takes.
const MaxSubmissions = 1000

// SubmitAll makes scores durable and returns what became of each, in their order: one that is
// refused refuses no other. They may be stored in any order, with two exceptions, for which a
// later one waits until the earlier one was answered: those of a player to a board whose
// scoring is ordered, and those of a player with the same IdempotencyKey.
func (s *Service) SubmitAll(ctx context.Context, submissions []Submission) []Committed {
	committed := make([]Committed, len(submissions))
	pending := make([]int, 0, len(submissions))
	catalog := s.Catalog()
	for i := range submissions {
		if err := s.prepare(catalog, &submissions[i]); err != nil {
			committed[i].Err = err
			continue
		}
		pending = append(pending, i)
	}

	for len(pending) > 0 {
		now, later := firstOfEach(submissions, pending)
		round := make([]Submission, len(now))
		for j, i := range now {
			round[j] = submissions[i]
		}
		for j, c := range s.Committer.CommitAll(ctx, round) {
			committed[now[j]] = c
		}
		pending = later
	}

	return committed
}

// turn is what submissions take one after the other: a player's entry on a board, or a
// player's key.
type turn struct {
	player     PlayerID
	board, key string
}

// firstOfEach divides submissions into those that wait for no other and those that do. Both
// keep their order.
func firstOfEach(submissions []Submission, pending []int) (now, later []int) {
	taken := make(map[turn]bool)
	take := func(t turn) (free bool) {
		free = !taken[t]
		taken[t] = true
		return free
	}

	now = make([]int, 0, len(pending))
	for _, i := range pending {
		s, free := &submissions[i], true
		if s.Ordered {
			free = take(turn{player: s.Player, board: s.Board})
		}
		if s.IdempotencyKey != "" {
			free = take(turn{player: s.Player, key: s.IdempotencyKey}) && free
		}
		if free {
			now = append(now, i)
		} else {
			later = append(later, i)
		}
	}
	return now, later
}
