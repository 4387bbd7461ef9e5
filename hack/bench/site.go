package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

const (
	tenant = "bench"
	// password is every player's.
	password = "correct horse battery"
	// online is how many players are logged in: fewer than the server keeps
	// verified tokens of, as on a replica that is not overloaded.
	online = 5_000
	// patience bounds waiting for a process, rebuildPatience for a ranking.
	patience        = 30 * time.Second
	rebuildPatience = 10 * time.Minute
	// boards is what the game has beside global: race counts toward global, too.
	boards = `{"boards": [{"name": "race"}]}`
)

// site is one game on its own stores.
type site struct {
	postgres *stores.Postgres
	redis    *stores.Redis
	database string
	dir      string
	tokens   []string
	server   *program
	bare     *program
}

// newSite starts the stores and makes a game with that many players, each with a
// standing on global.
func newSite(ctx context.Context, players int) (s *site, err error) {
	s = &site{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return nil, err
	}
	if s.postgres, err = stores.StartPostgres(ctx, stores.PostgresOptions{Durable: true, Settings: map[string]string{"max_connections": "400"}}); err != nil {
		return nil, err
	}
	if s.redis, err = stores.StartRedis(ctx, stores.RedisOptions{}); err != nil {
		return nil, err
	}
	if s.database, err = s.postgres.CreateDatabase(ctx); err != nil {
		return nil, err
	}
	if err := s.seed(ctx, players); err != nil {
		return nil, err
	}
	return s, s.login(ctx)
}

func (s *site) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.postgres.URL(s.database))
}

// seed makes the players and their standings. Scores are spread evenly.
func (s *site) seed(ctx context.Context, players int) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := postgres.Migrate(ctx, conn, "public"); err != nil {
		return err
	}
	hash, err := auth.NewPasswords(10, 1, patience).Hash(ctx, password)
	if err != nil {
		return err
	}
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{"SET synchronous_commit = off", nil},
		{`INSERT INTO players (id, username, username_key, password_hash)
			SELECT gen_random_uuid(), 'player-' || i, 'player-' || i, $2 FROM generate_series(1, $1::int) i`, []any{players, hash}},
		{`INSERT INTO standings (board, season, player, score, event, previous_score, origin, fold)
			SELECT 1, 1, number, (random() * 1e9)::bigint, nextval('event_ids'), 0, 1, 1 FROM players`, nil},
		{"VACUUM ANALYZE players", nil},
		{"VACUUM ANALYZE standings", nil},
		{"CHECKPOINT", nil},
	} {
		if _, err := conn.Exec(ctx, statement.sql, statement.args...); err != nil {
			return fmt.Errorf("make %d players: %w", players, err)
		}
	}
	return nil
}

// login signs the tokens of the players that are online.
func (s *site) login(ctx context.Context) error {
	keys, err := keyset.New(time.Now().Add(-time.Minute))
	if err != nil {
		return err
	}
	file, err := keys.Marshal()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "keys.json"), file, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "boards.json"), []byte(boards), 0o600); err != nil {
		return err
	}
	tokens, err := auth.NewTokens(tenant, time.Hour, time.Now)
	if err != nil {
		return err
	}
	tokens.SetKeys(keys)
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "SELECT id::text, username, token_version FROM players ORDER BY hashint8(number) LIMIT $1", online)
	if err != nil {
		return err
	}
	for rows.Next() {
		var p leaderboard.Player
		if err := rows.Scan(&p.ID, &p.Username, &p.TokenVersion); err != nil {
			return err
		}
		token, err := tokens.Issue(p)
		if err != nil {
			return err
		}
		s.tokens = append(s.tokens, token)
	}
	return rows.Err()
}

// environment is the server's configuration: its defaults, but for the limits of
// logins, all of which come from one address here.
func (s *site) environment(listen, ops string) []string {
	settings := map[string]string{
		config.EnvTenant:                  tenant,
		config.EnvDatabaseURL:             s.postgres.URL(s.database),
		config.EnvRedisAddresses:          s.redis.Address(),
		config.EnvKeySetFile:              filepath.Join(s.dir, "keys.json"),
		config.EnvBoardsFile:              filepath.Join(s.dir, "boards.json"),
		config.EnvListenAddress:           listen,
		config.EnvOpsListenAddress:        ops,
		config.EnvTokenTTL:                "1h",
		config.EnvLoginRatePerClient:      "off",
		config.EnvLoginRatePerUsername:    "off",
		config.EnvRegisterRatePerClient:   "off",
		config.EnvRegisterRatePerUsername: "off",
	}
	environment := os.Environ()
	for name, value := range settings {
		environment = append(environment, name+"="+value)
	}
	return environment
}

// startServer starts the server and returns once it answers.
func (s *site) startServer(ctx context.Context, path string) (err error) {
	s.server, err = s.start(ctx, "server", path, func(string, string) []string { return []string{"serve"} })
	return err
}

// startBare starts the bare handler.
func (s *site) startBare(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.bare, err = s.start(ctx, bareCommand, self, func(listen, _ string) []string { return []string{bareCommand, "-address", listen} })
	return err
}

// program is a process that answers HTTP.
type program struct {
	cmd      *exec.Cmd
	ended    chan struct{}
	url, ops string
	log      string
}

func (s *site) start(ctx context.Context, name, path string, args func(listen, ops string) []string) (*program, error) {
	listen, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	ops, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p := &program{url: "http://" + listen, ops: "http://" + ops, log: filepath.Join(s.dir, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(path, args(listen, ops)...) //nolint:noctx // stop ends it
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = s.environment(listen, ops), log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process, which then stops it
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // stop asks for its end; before that, ready notices
		close(p.ended)
	}()
	if err := p.ready(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("the %s is not ready: %w\n%s", name, err, p.tail())
	}
	return p, nil
}

// ready waits until a page can be read.
func (p *program) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rebuildPatience)
	defer cancel()
	for {
		status, _, err := get(ctx, p.url+"/v1/leaderboard/global")
		if status == http.StatusOK {
			return nil
		}
		select {
		case <-p.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *program) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// tail is the end of the log, for errors.
func (p *program) tail() string {
	content, _ := os.ReadFile(p.log)
	return string(content[max(0, len(content)-2000):])
}

func (s *site) close() {
	for _, p := range []*program{s.server, s.bare} {
		if p != nil {
			p.stop()
		}
	}
	if s.redis != nil {
		s.redis.Close()
	}
	if s.postgres != nil {
		s.postgres.Close()
	}
	_ = os.RemoveAll(s.dir)
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// get reads an address.
func get(ctx context.Context, url string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	return send(request)
}

// post sends a player's request.
func post(ctx context.Context, url, token string, content []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(content))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	status, _, err = send(request)
	return status, err
}

func send(request *http.Request) (status int, body []byte, err error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// totalEntries asks how many entries global has; -1: it cannot be read now.
func (p *program) totalEntries(ctx context.Context) int64 {
	status, body, err := get(ctx, p.url+"/v1/leaderboard/global")
	var page struct {
		TotalEntries int64 `json:"total_entries"`
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(body, &page) != nil {
		return -1
	}
	return page.TotalEntries
}
