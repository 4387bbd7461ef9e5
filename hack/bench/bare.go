package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/names"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/telemetry"
	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

// bareCommand makes this program the bare handler instead: the server's own HTTP
// API, which authenticates, parses, logs, counts and answers as ever, over stores
// that answer at once from nothing.
const bareCommand = "bare"

func bare(args []string) error {
	flags := flag.NewFlagSet(bareCommand, flag.ContinueOnError)
	address := flags.String("address", "", "where to listen, host:port")
	if err := flags.Parse(args); err != nil {
		return err
	}

	settings, err := config.FromEnvironment(os.Environ())
	if err != nil {
		return err
	}

	log, err := telemetry.NewLogger(os.Stderr, settings.Log)
	if err != nil {
		return err
	}

	handler, err := bareHandler(settings, log)
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *address)
	if err != nil {
		return err
	}

	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}

	return nil
}

func bareHandler(settings config.Config, log *slog.Logger) (http.Handler, error) {
	file, err := os.ReadFile(settings.Auth.KeySetFile)
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}

	keys, err := keyset.Parse(file)
	if err != nil {
		return nil, err
	}

	tokens, err := auth.NewTokens(settings.Tenant, settings.Auth.TokenTTL, time.Now)
	if err != nil {
		return nil, err
	}

	tokens.SetKeys(keys)
	passwords := auth.NewPasswords(settings.Auth.PasswordCost, max(1, runtime.NumCPU()/2), settings.Auth.HashingTimeout)
	stores := &instant{}
	service, err := leaderboard.NewService(context.Background(), leaderboard.Dependencies{
		Passwords: passwords, Usernames: names.New(nil), Players: stores, Logins: stores, Identities: stores, Attributes: stores, Directory: stores, Owners: stores,
		Committer: stores, Ranking: stores, Reports: stores, Histories: stores, Times: stores, Metadata: stores, Boards: stores, Results: stores,
	}, leaderboard.Boards{})
	if err != nil {
		return nil, err
	}
	if stores.hash, err = passwords.Hash(context.Background(), site.Password); err != nil {
		return nil, err
	}

	return httpapi.New(httpapi.Options{Service: func() *leaderboard.Service { return service }, Tokens: tokens, Banned: func(context.Context, leaderboard.PlayerID) bool { return false }, Limiter: stores,
		Observer: telemetry.NewMetrics(bareCommand), Log: log, HTTP: settings.HTTP, Auth: settings.Auth, IdempotencyTTL: settings.IdempotencyTTL})
}

// instant answers at once: what is left of a request's time is the API's.
type instant struct {
	leaderboard.Results // nil: nothing here reads more than pages and ranks
	leaderboard.Logins  // nil: no login is kept
	leaderboard.Identities
	hash    string
	catalog *leaderboard.Catalog
}

var somebody = leaderboard.PlayerName{Number: 1, ID: "0190c7a0-0000-7000-8000-000000000001", Username: "player-1"}

func (s *instant) player() leaderboard.Player {
	return leaderboard.Player{Number: somebody.Number, ID: somebody.ID, Username: somebody.Username, PasswordHash: s.hash,
		State: leaderboard.PlayerActive, TokenVersion: 1}
}

// Commit implements [leaderboard.Committer].
func (s *instant) Commit(_ context.Context, submission leaderboard.Submission) (leaderboard.Receipt, error) {
	return leaderboard.Receipt{Event: 1, Player: submission.Player, Board: submission.Board, Score: submission.Score,
		Ranking: leaderboard.RankingLive, Rank: 50_000, StandingScore: submission.Score}, nil
}

// CommitAll implements [leaderboard.Committer].
func (s *instant) CommitAll(ctx context.Context, submissions []leaderboard.Submission) []leaderboard.Committed {
	committed := make([]leaderboard.Committed, len(submissions))
	for i, submission := range submissions {
		committed[i].Receipt, committed[i].Err = s.Commit(ctx, submission)
	}
	return committed
}

// Page implements [leaderboard.Ranking].
func (s *instant) Page(_ context.Context, board leaderboard.LiveBoard, offset, limit int64) ([]leaderboard.RankingEntry, int64, error) {
	entries := make([]leaderboard.RankingEntry, limit)
	for i := range entries {
		entries[i] = leaderboard.RankingEntry{Rank: offset + int64(i) + 1, Player: int64(i), Score: 1_000_000, Origin: board.Number}
	}
	return entries, offset + limit, nil
}

// Rank implements [leaderboard.Ranking].
func (s *instant) Rank(_ context.Context, board leaderboard.LiveBoard, player int64) (leaderboard.OwnEntry, error) {
	e := leaderboard.RankingEntry{Rank: 50_000, Place: 50_000, Player: player, Score: 500_000, Origin: board.Number}
	return leaderboard.OwnEntry{RankingEntry: e, Better: 49_999, Total: 100_000}, nil
}

// Name implements [leaderboard.Directory].
func (s *instant) Name(context.Context, leaderboard.PlayerID) (leaderboard.PlayerName, error) {
	return somebody, nil
}

// Find implements [leaderboard.Directory].
func (s *instant) Find(_ context.Context, ids []leaderboard.PlayerID) (map[leaderboard.PlayerID]leaderboard.PlayerName, error) {
	found := make(map[leaderboard.PlayerID]leaderboard.PlayerName, len(ids))
	for _, id := range ids {
		found[id] = somebody
	}
	return found, nil
}

// ExternalID implements [leaderboard.Directory].
func (s *instant) ExternalID(context.Context, leaderboard.PlayerID) (string, error) { return "", nil }

// FindExternal implements [leaderboard.Directory].
func (s *instant) FindExternal(context.Context, []string) (map[string]leaderboard.PlayerName, error) {
	return nil, nil
}

// CreateExternal implements [leaderboard.Directory].
func (s *instant) CreateExternal(context.Context, []leaderboard.ExternalPlayer) error { return nil }

// FindOwners implements [leaderboard.Owners].
func (s *instant) FindOwners(context.Context, []string) (map[string]leaderboard.PlayerName, error) {
	return nil, nil
}

// SaveOwners implements [leaderboard.Owners].
func (s *instant) SaveOwners(context.Context, []leaderboard.Owner) error { return nil }

// Names implements [leaderboard.Directory].
func (s *instant) Names(_ context.Context, numbers []int64) (map[int64]leaderboard.PlayerName, error) {
	names := make(map[int64]leaderboard.PlayerName, len(numbers))
	for _, number := range numbers {
		names[number] = somebody
	}
	return names, nil
}

// CreatePlayer implements [leaderboard.Players].
func (s *instant) CreatePlayer(context.Context, leaderboard.Player, map[string]string) (leaderboard.Player, error) {
	return s.player(), nil
}

// Attributes implements [leaderboard.PlayerAttributes].
func (s *instant) Attributes(context.Context, leaderboard.PlayerID) ([]leaderboard.AttributeValue, error) {
	return nil, nil
}

// SetAttributes implements [leaderboard.PlayerAttributes].
func (s *instant) SetAttributes(context.Context, leaderboard.PlayerID, int32, map[string]string) error {
	return nil
}

// ValueNumber implements [leaderboard.PlayerAttributes].
func (s *instant) ValueNumber(context.Context, string, string) (int32, bool, error) {
	return 0, false, nil
}

// PlayerByUsername implements [leaderboard.Players].
func (s *instant) PlayerByUsername(context.Context, string) (leaderboard.Player, error) {
	return s.player(), nil
}

// PlayerByID implements [leaderboard.Players].
func (s *instant) PlayerByID(context.Context, leaderboard.PlayerID) (leaderboard.Player, error) {
	return s.player(), nil
}

// UpdatePasswordHash implements [leaderboard.Players].
func (s *instant) UpdatePasswordHash(context.Context, int64, string, string) error { return nil }

// TopPlayers implements [leaderboard.Reports].
func (s *instant) TopPlayers(context.Context, leaderboard.LiveBoard, time.Time, time.Time, int) ([]leaderboard.ReportRow, error) {
	return nil, nil
}

// History implements [leaderboard.Histories].
func (s *instant) History(context.Context, leaderboard.HistoryQuery) (leaderboard.HistoryPart, error) {
	return leaderboard.HistoryPart{}, nil
}

// ReachedAt implements [leaderboard.EntryTimes].
func (s *instant) ReachedAt(_ context.Context, queries []leaderboard.ReachedQuery) ([]time.Time, error) {
	return make([]time.Time, len(queries)), nil
}

// Metadata implements [leaderboard.MetadataStore].
func (s *instant) Metadata(context.Context, []int64) (map[int64]string, error) { return nil, nil }

// SyncBoards implements [leaderboard.BoardStore].
func (s *instant) SyncBoards(context.Context, leaderboard.Boards) (*leaderboard.Catalog, error) {
	race := leaderboard.Global()
	race.Name = "race"
	var err error
	s.catalog, err = leaderboard.NewCatalog([]leaderboard.LiveBoard{
		{Board: leaderboard.Global(), Number: 1, Season: 1, Active: true}, {Board: race, Number: 2, Season: 1, Active: true}})
	return s.catalog, err
}

// Catalog implements [leaderboard.BoardStore].
func (s *instant) Catalog() *leaderboard.Catalog { return s.catalog }

// Allow implements [httpapi.Limiter].
func (s *instant) Allow(context.Context, string, string, config.Rate) time.Duration { return 0 }

// Return implements [httpapi.Limiter].
func (s *instant) Return(context.Context, string, string, config.Rate) {}
