package leaderboard

import (
	"context"
	"slices"
	"time"
)

// PlayerData is what a game keeps of a player, but for the submissions.
type PlayerData struct {
	Player
	// PastNames are the usernames that the player had before.
	PastNames []PastName
	// ExternalID is the game's own id of the player; empty: there is none.
	ExternalID string
	Logins     PlayerLogins
	// Attributes are the values that the player has, by attribute.
	Attributes map[string]string
	// Entries are those on boards that the game has: of all time, of seasons that are open,
	// and of closed ones whose results are kept.
	Entries []BoardEntry
	// Held are the submissions that were held back, the newest first.
	Held []HeldSubmission
}

// PlayerData returns what the game keeps of a player. CodeRankingUnavailable says that the
// entries cannot all be told now.
func (s *Service) PlayerData(ctx context.Context, id PlayerID) (PlayerData, error) {
	player, err := s.Players.PlayerByID(ctx, id)
	if err != nil {
		return PlayerData{}, err
	}

	data := PlayerData{Player: player}
	if data.PastNames, err = s.Logins.PastNames(ctx, id); err != nil {
		return PlayerData{}, err
	}
	if data.ExternalID, err = s.Directory.ExternalID(ctx, id); err != nil {
		return PlayerData{}, err
	}
	if data.Logins, err = s.Identities.PlayerLogins(ctx, id); err != nil {
		return PlayerData{}, err
	}
	if data.Attributes, err = s.PlayerAttributes(ctx, id); err != nil {
		return PlayerData{}, err
	}
	if data.Held, err = s.everyHeld(ctx, id); err != nil {
		return PlayerData{}, err
	}

	name := PlayerName{Number: player.Number, ID: player.ID, Username: player.Username}
	open, err := s.ownEntries(ctx, name, s.Ranking, s.everyOpen())
	if err != nil {
		return PlayerData{}, err
	}
	seasons, err := s.everyClosed(ctx)
	if err != nil {
		return PlayerData{}, err
	}
	closed, err := s.ownEntries(ctx, name, s.Results, seasons)
	data.Entries = slices.Concat(open, closed)
	return data, err
}

// everyOpen are all rankings that are open now.
func (s *Service) everyOpen() []scope {
	var scopes []scope
	catalog := s.Catalog()
	for _, board := range catalog.All() {
		if !board.Active {
			continue
		}
		windows := []string{AllTime}
		if board.WindowsOnly {
			windows = nil
		}
		for _, w := range board.Windows {
			windows = append(windows, w.Name)
		}
		for _, window := range windows {
			if open, err := s.running(catalog, board, window); err == nil {
				scopes = append(scopes, open)
			}
		}
	}
	return scopes
}

// everyClosed are all seasons of the boards' windows whose results are kept.
func (s *Service) everyClosed(ctx context.Context) ([]scope, error) {
	var scopes []scope
	catalog := s.Catalog()
	for _, board := range catalog.All() {
		for _, window := range board.Windows {
			for before := int32(0); board.Active; {
				seasons, err := s.Results.Seasons(ctx, board, window.Name, before, MaxSeasonsListed)
				if err != nil {
					return nil, err
				}
				for _, season := range seasons {
					if season.Closed() && !season.Dropped {
						scopes = append(scopes, s.closed(catalog, board, season))
					}
				}
				if len(seasons) < MaxSeasonsListed {
					break
				}
				before = seasons[len(seasons)-1].Ordinal
			}
		}
	}
	return scopes, nil
}

// exportedAtOnce is how many entries or submissions are read in one query for a player's
// data.
const exportedAtOnce = 200

// ownEntries are a player's entries in these scopes of one ranking, with all that can be
// included.
func (s *Service) ownEntries(ctx context.Context, name PlayerName, ranking Ranking, scopes []scope) ([]BoardEntry, error) {
	ranking, err := s.seenBy(ctx, name.ID, ranking, len(scopes) > 0 && scopes[0].Closed())
	if err != nil {
		return nil, err
	}

	var owned []BoardEntry
	for len(scopes) > 0 {
		part := scopes[:min(len(scopes), exportedAtOnce)]
		scopes = scopes[len(part):]
		for i := range part {
			part[i].include = Include{ReachedAt: true, Metadata: true}
		}

		entries, err := s.owned(ctx, name, ranking, part)
		if err != nil {
			return nil, err
		}
		owned = append(owned, withEntry(entries)...)
	}
	return owned, nil
}

// EachSubmission tells all that a player ever submitted that retention has not dropped, also
// to boards that the game no longer has: board after board, on each the newest first. It
// returns the time from which on submissions are there. What the ledger cannot say now is
// asked again until ctx ends.
func (s *Service) EachSubmission(ctx context.Context, player int64, each func([]PastSubmission) error) (since time.Time, err error) {
	catalog := s.Catalog()
	for _, board := range catalog.All() {
		query := HistoryQuery{Board: board, Player: player, Limit: exportedAtOnce, Uncounted: true}
		for more := true; more; {
			var part HistoryPart
			var submissions []PastSubmission
			err := patiently(ctx, func() (err error) {
				if part, err = s.Histories.History(ctx, query); err != nil {
					return err
				}
				submissions, err = s.submittedTo(ctx, board, part.Events)
				return err
			})
			if err != nil {
				return time.Time{}, err
			}

			since = part.Since
			if err := each(submissions); err != nil {
				return time.Time{}, err
			}
			query.Before, more = part.Next, part.Next != nil
		}
	}
	return since, nil
}

// submittedTo are the events that were submitted to the board itself, described.
func (s *Service) submittedTo(ctx context.Context, board LiveBoard, events []HistoryEvent) ([]PastSubmission, error) {
	var submissions []PastSubmission
	var numbers []int64
	for _, e := range events {
		if e.Board == board.Number { // of global also come those that count there
			submissions = append(submissions, PastSubmission{Event: e.Number, Score: e.Score, Columns: board.Named(e.Columns), At: e.At, Board: board.Name})
			numbers = append(numbers, e.Number)
		}
	}
	if len(numbers) == 0 {
		return nil, nil
	}

	found, err := s.Metadata.Metadata(ctx, numbers)
	for i := range submissions {
		submissions[i].Metadata = found[submissions[i].Event]
	}
	return submissions, err
}

// patiencePause is between two attempts of what may take its time.
const patiencePause = 200 * time.Millisecond

// patiently repeats what a store cannot do now until ctx ends.
func patiently(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || !temporary(err) {
			return err
		}

		select {
		case <-time.After(patiencePause):
		case <-ctx.Done():
			return err
		}
	}
}
