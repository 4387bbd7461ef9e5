package leaderboard

import (
	"context"
	"time"
)

// Passwords hashes and verifies passwords. Both are slow on purpose; an
// implementation bounds how many run at once.
type Passwords interface {
	// Hash returns a salted hash of a new password. One that may not be used is
	// CodeInvalid.
	Hash(ctx context.Context, password string) (string, error)
	// Verify says whether the password is the one that was hashed. An empty hash is
	// that of no password; refusing it takes as long as refusing any other. After a
	// match, renewed is the hash to keep from now on; empty: the one that there is.
	// An error means that this could not be found out.
	Verify(ctx context.Context, hash, password string) (match bool, renewed string, err error)
}

// Players keeps accounts. A player that does not exist is CodeNoPlayer.
type Players interface {
	// CreatePlayer stores a new player with these values of attributes, and returns it with its
	// Number, ID, State and CreatedAt. A UsernameKey or a Skeleton that is taken is
	// CodeConflict; of the attributes see [PlayerAttributes].
	CreatePlayer(ctx context.Context, player Player, attributes map[string]string) (Player, error)
	// PlayerByUsername finds a player by UsernameKey.
	PlayerByUsername(ctx context.Context, key string) (Player, error)
	// PlayerByID finds a player by public id.
	PlayerByID(ctx context.Context, id PlayerID) (Player, error)
	// UpdatePasswordHash replaces a player's hash. It changes nothing if the hash is
	// no longer the old one: the password was changed meanwhile.
	UpdatePasswordHash(ctx context.Context, number int64, oldHash, newHash string) error
}

// Directory knows the names of players, from memory where it can.
type Directory interface {
	// Name finds a player by public id; CodeNoPlayer if there is none.
	Name(ctx context.Context, id PlayerID) (PlayerName, error)
	// Names finds players by number. A number without a player is left out. With
	// CodeUnavailable and CodeBusy come those that are in memory.
	Names(ctx context.Context, numbers []int64) (map[int64]PlayerName, error)
	// Find finds players by public id. An id without a player is left out.
	Find(ctx context.Context, ids []PlayerID) (map[PlayerID]PlayerName, error)
	// FindExternal finds players by external id. One without a player is left out.
	FindExternal(ctx context.Context, externalIDs []string) (map[string]PlayerName, error)
	// ExternalID is the external id of a player; empty: it has none.
	ExternalID(ctx context.Context, id PlayerID) (string, error)
	// CreateExternal makes the players of those external ids that have none. Each is there
	// once.
	CreateExternal(ctx context.Context, players []ExternalPlayer) error
}

// Committer makes submissions durable.
type Committer interface {
	// Commit returns once the submission is durable and, if Redis allowed it,
	// ranked. The submission's Board is a valid name, and its Score is within the
	// board's bounds unless Refusal is set. A cancelled ctx ends the wait, not the
	// commit.
	Commit(ctx context.Context, submission Submission) (Receipt, error)
	// CommitAll is Commit for many, each of which stands for itself, and returns what became
	// of them in their order. It waits for room where Commit is refused: what had none when
	// ctx ended is CodeBusy.
	CommitAll(ctx context.Context, submissions []Submission) []Committed
}

// Committed is what became of a submission: its receipt or why there is none.
type Committed struct {
	Receipt Receipt
	Err     error
}

// Ranking answers for ranks, live. It fails with CodeRankingUnavailable rather
// than with a rank that is known to be out of date.
type Ranking interface {
	// Page returns up to limit entries after the first offset ones, and how many
	// entries there are.
	Page(ctx context.Context, board LiveBoard, offset, limit int64) (entries []RankingEntry, total int64, err error)
	// BeginWalk begins a walk through a snapshot of the board that is new, or young
	// enough to be shared.
	BeginWalk(ctx context.Context, board LiveBoard) (Walk, error)
	// Walk returns the next part of the walk's snapshot, at most limit entries.
	// CodeWalkEnded says that there is no such snapshot any more.
	Walk(ctx context.Context, board LiveBoard, walk Walk, limit int64) (WalkPart, error)
	// Rank returns one player's entry; CodeNoEntry if the player has none.
	Rank(ctx context.Context, board LiveBoard, player int64) (OwnEntry, error)
	// Ranks returns many entries, in the order of the queries: with Rank 0 where the
	// player has none.
	Ranks(ctx context.Context, queries []EntryQuery) ([]OwnEntry, error)
	// AroundPlayer returns a player's entry with so many before and after it;
	// CodeNoEntry if the player has none.
	AroundPlayer(ctx context.Context, board LiveBoard, player, before, after int64) (Neighbours, error)
	// AroundScore returns the entries before and after the place that a score would get
	// now.
	AroundScore(ctx context.Context, board LiveBoard, score, before, after int64) (Neighbours, error)
	// CountBetter says of each bound how many entries rank before it.
	CountBetter(ctx context.Context, board LiveBoard, bounds []ScoreBound) ([]int64, error)
}

// RankingEntry is an entry as the ranking holds it.
type RankingEntry struct {
	// Rank counts from 1, as the board's Ranks say, and Place one by one.
	Rank, Place int64
	// Player is the player's number.
	Player  int64
	Score   int64
	Columns Columns
	// Event is the event that reached the score.
	Event int64
	// Origin is the number of the board where the score was made.
	Origin int32
}

// Standing is what of the entry orders it.
func (e RankingEntry) Standing() Standing {
	return Standing{Score: e.Score, Columns: e.Columns, Event: e.Event}
}

// OwnEntry is one player's entry, with where it stands among all of the board.
type OwnEntry struct {
	RankingEntry
	// Better is how many entries have a better score or columns; on a board with
	// Ordinal ranks also those that are before for having been there first.
	Better int64
	// Total is how many entries there are.
	Total int64
}

// Results answers for closed seasons: their rankings never change.
type Results interface {
	Ranking
	SeasonStore
}

// Reports answers for past days from the ledger's events.
type Reports interface {
	// TopPlayers returns the best limit players of the board by the fold, see [Append], of
	// their events with from <= at < to; for GlobalBoard of all events that counted toward
	// it. A sum, unlike that of all time, can be beyond MaxScore: the error has
	// CodeOutOfRange then.
	TopPlayers(ctx context.Context, board LiveBoard, from, to time.Time, limit int) ([]ReportRow, error)
}

// BoardStore keeps the boards.
type BoardStore interface {
	// SyncBoards brings the ledger's boards in line with the configured ones and
	// returns all that the ledger knows. Other rules of a board are begun, or
	// refused, by catch-up: see [Refold].
	SyncBoards(ctx context.Context, boards Boards) (*Catalog, error)
	// Catalog returns the boards as they were read last.
	Catalog() *Catalog
}

// Dependencies are what a [Service] is made of. All interfaces are required.
type Dependencies struct {
	Passwords  Passwords
	Usernames  Usernames
	Players    Players
	Logins     Logins
	Identities Identities
	Attributes PlayerAttributes
	Directory  Directory
	Owners     Owners
	Committer  Committer
	Ranking    Ranking
	Reports    Reports
	Histories  Histories
	Times      EntryTimes
	Metadata   MetadataStore
	Boards     BoardStore
	Results    Results
	Moderator  Moderator
	Reviews    Reviews
	Eraser     Eraser
	Shadows    Shadows
}

// Service is the product's use cases. It is safe for concurrent use.
type Service struct {
	Dependencies
	schemas schemas
}

// NewService makes a service and brings the ledger's boards in line with boards.
func NewService(ctx context.Context, dependencies Dependencies, boards Boards) (*Service, error) {
	s := &Service{Dependencies: dependencies}
	if err := s.Reload(ctx, boards); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload brings the ledger's boards in line with boards. After an error the service goes on with the boards it has.
func (s *Service) Reload(ctx context.Context, boards Boards) error {
	_, err := s.Boards.SyncBoards(ctx, boards)
	return err
}

// Catalog returns the boards that are being served.
func (s *Service) Catalog() *Catalog { return s.Boards.Catalog() }

// Register makes an account, with these values of attributes.
func (s *Service) Register(ctx context.Context, username, password string, attributes map[string]string) (Player, error) {
	name, err := s.Usernames.Check(username)
	if err != nil {
		return Player{}, err
	}
	if err := checkAttributes(s.Catalog(), attributes); err != nil {
		return Player{}, err
	}

	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return Player{}, err
	}

	return s.Players.CreatePlayer(ctx, Player{Username: name.Text, UsernameKey: name.Key, Skeleton: name.Skeleton, PasswordHash: hash}, attributes)
}

// Authenticate finds the player with this username and password. Neither the
// answer nor the time it takes shows whether the username or the password is wrong.
func (s *Service) Authenticate(ctx context.Context, username, password string) (Player, error) {
	player, found, err := s.findPlayer(ctx, username)
	if err != nil {
		return Player{}, err
	}

	match, renewed, err := s.Passwords.Verify(ctx, player.PasswordHash, password)
	if err != nil {
		return Player{}, err
	}
	if !found || !match {
		return Player{}, Errorf(CodeUnauthenticated, "", "the username or the password is wrong")
	}
	if player.State != PlayerActive {
		return Player{}, Disabled()
	}

	if renewed != "" {
		// A login does not depend on it: if it fails, the next one renews the hash.
		_ = s.Players.UpdatePasswordHash(ctx, player.Number, player.PasswordHash, renewed)
	}

	return player, nil
}

// findPlayer finds a player by what was typed as the username.
func (s *Service) findPlayer(ctx context.Context, username string) (player Player, found bool, err error) {
	key, ok := s.Usernames.Key(username)
	if !ok {
		return Player{}, false, nil
	}

	player, err = s.Players.PlayerByUsername(ctx, key)
	if CodeOf(err) == CodeNoPlayer {
		return Player{}, false, nil
	}

	return player, err == nil, err
}

// Player returns an account as the ledger has it now.
func (s *Service) Player(ctx context.Context, id PlayerID) (Player, error) {
	return s.Players.PlayerByID(ctx, id)
}

// Submit makes a score durable and returns its receipt.
func (s *Service) Submit(ctx context.Context, submission Submission) (Receipt, error) {
	if err := s.prepare(s.Catalog(), &submission); err != nil {
		return Receipt{}, err
	}
	if submission.HoldBack != "" {
		return s.holdBack(ctx, submission)
	}

	receipt, err := s.commit(ctx, submission)
	switch CodeOf(err) {
	case CodeHeldBefore:
		return s.holdBack(ctx, submission)
	case CodeImprovementTooLarge:
		if board, unknown := s.Catalog().Lookup(submission.Board); unknown == nil && board.reviewsImprovement(submission) {
			submission.HoldBack = ReviewedImprovement
			return s.holdBack(ctx, submission)
		}
	}
	return receipt, err
}

// commit makes a submission durable, and shows its player what is left out of rankings for others.
func (s *Service) commit(ctx context.Context, submission Submission) (Receipt, error) {
	receipt, err := s.Committer.Commit(ctx, submission)
	if err == nil && receipt.Ranking == RankingDelayed && submission.Account == "" {
		s.showToShadowed(ctx, &receipt)
	}
	return receipt, err
}

// prepare completes a submission with what the board makes of it, or refuses it.
func (s *Service) prepare(catalog *Catalog, submission *Submission) error {
	if submission.Board == "" {
		submission.Board = GlobalBoard
	}

	board, err := catalog.Lookup(submission.Board)
	if err != nil {
		return err
	}
	if err := CheckIdempotencyKey("Idempotency-Key", submission.IdempotencyKey); err != nil {
		return err
	}

	if err := board.checkSignature(*submission); err != nil {
		return err
	}

	// With a key it may be the repetition of one that was within the bounds.
	submission.Ordered = board.ByPlayer()
	if submission.Columns, err = s.checkSubmission(catalog, board, *submission); err != nil {
		if submission.IdempotencyKey == "" {
			return err
		}
		submission.Refusal = err
		return nil
	}
	submission.HoldBack = board.heldBack(*submission)
	return nil
}

// checkSubmission refuses what the board does not take, or does not take now.
func (s *Service) checkSubmission(catalog *Catalog, board LiveBoard, submission Submission) (Columns, error) {
	if err := board.CheckSubmission(submission.Score, submission.Account); err != nil {
		return Columns{}, err
	}
	if err := board.CheckOwner(submission.Owner); err != nil {
		return Columns{}, err
	}
	columns, err := board.ReadColumns(submission.Values)
	if err != nil {
		return Columns{}, err
	}
	if err := s.checkMetadata(board.Board, submission.Metadata); err != nil {
		return Columns{}, err
	}
	if board.Main(catalog.Now()) == 0 {
		return Columns{}, Errorf(CodeNoSeason, "board", "board %s takes no submissions now: GET /v1/boards/%s says when its next season begins", board.Name, board.Name)
	}
	return columns, nil
}

// TopPlayers returns the top players between two days.
func (s *Service) TopPlayers(ctx context.Context, query ReportQuery) (Report, error) {
	board, err := lookup(s.Catalog(), query.Board)
	if err != nil {
		return Report{}, err
	}

	from, to, err := query.Range()
	if err != nil {
		return Report{}, err
	}

	rows, err := s.Reports.TopPlayers(ctx, board, from, to, query.Limit)
	return Report{Scoring: board.Scoring, Rows: rows}, err
}

func lookup(catalog *Catalog, name string) (LiveBoard, error) {
	if name == "" {
		name = GlobalBoard
	}
	return catalog.Lookup(name)
}
