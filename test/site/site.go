// Package site sets up one game for measurements and for campaigns of faults: real
// stores, players with tokens, and servers as processes of their own.
package site

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

const (
	tenant = "site"
	// Password is every player's.
	Password = "correct horse battery"
)

// Options say what a site has.
type Options struct {
	// Players is how many players there are.
	Players int
	// Online is how many of them have a token.
	Online int
	// Boards is the boards file.
	Boards string
	// Standings gives every player a standing on global, with scores spread evenly
	// over 0 to 10^9.
	Standings bool
	// Durable makes PostgreSQL wait for the disk.
	Durable bool
	// MaxConnections of PostgreSQL.
	MaxConnections int
}

// Player is a player who is logged in.
type Player struct {
	Number              int64
	ID, Username, Token string
}

// Site is one game on its own stores. Close it.
type Site struct {
	Postgres *stores.Postgres
	Redis    *stores.Redis
	// Database is the game's, whose schema public has the ledger.
	Database string
	// Players are those who are online.
	Players []Player

	options  Options
	dir      string
	programs []*Program
	tokens   *auth.Tokens
	account  accounts.Account
}

// BoardsFile is where the boards file is that the servers read.
func (s *Site) BoardsFile() string { return s.file("boards.json") }

// New starts the stores and makes the game.
func New(ctx context.Context, options Options) (s *Site, err error) {
	s = &Site{options: options}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()

	if s.dir, err = os.MkdirTemp("", "site-"); err != nil {
		return nil, fmt.Errorf("make the folder of a site: %w", err)
	}
	if s.Postgres, err = stores.StartPostgres(ctx, stores.PostgresOptions{Durable: options.Durable,
		Settings: map[string]string{"max_connections": fmt.Sprint(options.MaxConnections)}}); err != nil {
		return nil, err
	}
	if s.Redis, err = stores.StartRedis(ctx, stores.RedisOptions{}); err != nil {
		return nil, err
	}
	if s.Database, err = s.Postgres.CreateDatabase(ctx); err != nil {
		return nil, err
	}
	if err := s.seed(ctx); err != nil {
		return nil, fmt.Errorf("make %d players: %w", options.Players, err)
	}
	if err := s.login(ctx); err != nil {
		return nil, fmt.Errorf("log %d players in: %w", options.Online, err)
	}

	return s, nil
}

// Close ends the servers and the stores.
func (s *Site) Close() {
	for _, p := range s.programs {
		p.Stop()
	}

	if s.Redis != nil {
		s.Redis.Close()
	}

	if s.Postgres != nil {
		s.Postgres.Close()
	}

	_ = os.RemoveAll(s.dir)
}

// Connect connects to the ledger as the superuser. The caller closes it.
func (s *Site) Connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.Postgres.URL(s.Database))
}

func (s *Site) seed(ctx context.Context) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	if err := postgres.Migrate(ctx, conn, "public"); err != nil {
		return err
	}

	const cost, patience = 10, 30 * time.Second // the server's default
	hash, err := auth.NewPasswords(cost, 1, patience).Hash(ctx, Password)
	if err != nil {
		return err
	}

	type statement struct {
		sql  string
		args []any
	}

	statements := []statement{
		{"SET synchronous_commit = off", nil},
		{`INSERT INTO players (id, username, username_key, password_hash)
			SELECT gen_random_uuid(), 'player-' || i, 'player-' || i, $2 FROM generate_series(1, $1::int) i`, []any{s.options.Players, hash}}}
	if s.options.Standings {
		statements = append(statements, statement{`INSERT INTO standings (board, season, player, score, event, previous_score, origin, fold)
			SELECT 1, 1, number, (random() * 1e9)::bigint, nextval('event_ids'), 0, 1, 1 FROM players`, nil})
	}

	for _, statement := range append(statements, statement{"VACUUM ANALYZE players", nil}, statement{"VACUUM ANALYZE standings", nil}, statement{"CHECKPOINT", nil}) {
		if _, err := conn.Exec(ctx, statement.sql, statement.args...); err != nil {
			return err
		}
	}

	return nil
}

// login signs tokens, and writes the files that servers are given.
func (s *Site) login(ctx context.Context) error {
	keys, err := keyset.New(time.Now().Add(-time.Minute))
	if err != nil {
		return err
	}

	file, err := keys.Marshal()
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file("keys.json"), file, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("boards.json"), []byte(s.options.Boards), 0o600); err != nil {
		return err
	}

	tokens, err := auth.NewTokens(tenant, 24*time.Hour, time.Now)
	if err != nil {
		return err
	}

	tokens.SetKeys(keys)
	s.tokens = tokens
	if err := s.makeAccount(); err != nil {
		return err
	}

	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	rows, err := conn.Query(ctx, "SELECT number, id::text, username, token_version FROM players ORDER BY hashint8(number) LIMIT $1", s.options.Online)
	if err != nil {
		return err
	}

	for rows.Next() {
		var p leaderboard.Player
		if err := rows.Scan(&p.Number, &p.ID, &p.Username, &p.TokenVersion); err != nil {
			return err
		}

		token, err := tokens.Issue(p, "")
		if err != nil {
			return err
		}

		s.Players = append(s.Players, Player{Number: p.Number, ID: string(p.ID), Username: p.Username, Token: token})
	}

	return rows.Err()
}

// makeAccount writes the file of the service account that [Site.ServiceToken] is of.
func (s *Site) makeAccount() error {
	s.account, _ = accounts.Account{Name: "match-server", Scopes: accounts.Scopes{accounts.Submit, accounts.Moderate}}.Issue(time.Now())
	file, err := accounts.Set{s.account}.Marshal()
	if err != nil {
		return err
	}
	return os.WriteFile(s.file("accounts.json"), file, 0o600)
}

// ServiceToken issues a token with which a server of the game submits for any player, and moderates. It is
// good for ten minutes.
func (s *Site) ServiceToken() (string, error) {
	return s.tokens.IssueService(s.account.Name, s.account.Newest(), s.account.Scopes)
}

func (s *Site) file(name string) string { return filepath.Join(s.dir, name) }

// environment is the server's configuration: its defaults, but for the limits of
// logins, as all come from one address here.
func (s *Site) environment(listen, ops string, changes map[string]string) []string {
	settings := map[string]string{
		config.EnvTenant:                  tenant,
		config.EnvDatabaseURL:             s.Postgres.URL(s.Database),
		config.EnvRedisAddresses:          s.Redis.Address(),
		config.EnvKeySetFile:              s.file("keys.json"),
		config.EnvServiceAccountsFile:     s.file("accounts.json"),
		config.EnvBoardsFile:              s.file("boards.json"),
		config.EnvListenAddress:           listen,
		config.EnvOpsListenAddress:        ops,
		config.EnvTokenTTL:                "24h",
		config.EnvLoginRatePerClient:      "off",
		config.EnvLoginRatePerUsername:    "off",
		config.EnvRegisterRatePerClient:   "off",
		config.EnvRegisterRatePerUsername: "off",
		config.EnvReportRatePerPlayer:     "off",
		config.EnvReportTTL:               "0s",
	}
	environment := os.Environ()
	for _, values := range []map[string]string{settings, changes} {
		for name, value := range values {
			environment = append(environment, name+"="+value)
		}
	}

	return environment
}
