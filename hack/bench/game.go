package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

const (
	// online is how many players are logged in: fewer than the server keeps
	// verified tokens of, as on a replica that is not overloaded.
	online = 5_000
	// patience bounds waiting for an answer, rebuildPatience for a ranking.
	patience        = 30 * time.Second
	rebuildPatience = 10 * time.Minute
	// boards is what the game has beside global: race counts toward global, too.
	boards = `{"boards": [{"name": "race"}]}`
)

// game is a site with the programs that are measured.
type game struct {
	*site.Site
	server, bare *site.Program
}

// newGame makes a game with that many players, each with a standing on global.
func newGame(ctx context.Context, players int) (*game, error) {
	return newGameWith(ctx, players, boards)
}

// newGameWith is newGame with other boards.
func newGameWith(ctx context.Context, players int, boards string) (*game, error) {
	made, err := site.New(ctx, site.Options{Players: players, Online: online, Boards: boards, Standings: true, Durable: true, MaxConnections: 400})
	if err != nil {
		return nil, err
	}
	return &game{Site: made}, nil
}

// startServer starts the server and waits until its ranking is built.
func (s *game) startServer(ctx context.Context, path string) (err error) {
	if s.server, err = s.Start("server", path, func(string) []string { return []string{"serve"} }, nil); err != nil {
		return err
	}
	return await(ctx, s.server)
}

// startBare starts the bare handler.
func (s *game) startBare(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}

	s.bare, err = s.Start(bareCommand, self, func(listen string) []string { return []string{bareCommand, "-address", listen} }, nil)
	if err != nil {
		return err
	}

	return await(ctx, s.bare)
}

// startedGame is newGameWith whose server runs and has met its players.
func startedGame(ctx context.Context, players int, boards, server string) (s *game, err error) {
	if s, err = newGameWith(ctx, players, boards); err != nil {
		return nil, err
	}

	if err = s.startServer(ctx, server); err == nil {
		err = s.meet(ctx, s.server)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func await(ctx context.Context, p *site.Program) error {
	ctx, cancel := context.WithTimeout(ctx, rebuildPatience)
	defer cancel()
	return p.Await(ctx)
}

// get reads an address, as a player unless token is empty.
func get(ctx context.Context, url, token string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	return send(request, token)
}

// post sends a player's request.
func post(ctx context.Context, url, token string, content []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(content))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	status, _, err = send(request, token)
	return status, err
}

func send(request *http.Request, token string) (status int, body []byte, err error) {
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}

	return sendBy(http.DefaultClient, request)
}

// newClient keeps that many connections.
func newClient(connections int) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
}

func sendBy(client *http.Client, request *http.Request) (status int, body []byte, err error) {
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()

	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// totalEntries asks how many entries global has; -1: it cannot be read now.
func totalEntries(ctx context.Context, p *site.Program) int64 {
	return entriesAt(ctx, p.URL+"/v1/leaderboard/global")
}

// entriesAt asks how many entries there are at an address; -1: it cannot be read now.
func entriesAt(ctx context.Context, url string) int64 {
	status, body, err := get(ctx, url, "")
	var page struct {
		TotalEntries int64 `json:"total_entries"`
	}

	if err != nil || status != http.StatusOK || json.Unmarshal(body, &page) != nil {
		return -1
	}

	return page.TotalEntries
}

// openLedger opens the ledger of the game, with its boards, and a connection of its own.
// closeAll ends both.
func (s *game) openLedger(ctx context.Context, options postgres.Options) (ledger *postgres.Ledger, catalog *leaderboard.Catalog, conn *pgx.Conn, closeAll func(), err error) {
	options.URL = s.Postgres.URL(s.Database)
	if ledger, err = postgres.Open(ctx, options); err != nil {
		return nil, nil, nil, nil, err
	}
	defer func() {
		if err != nil {
			ledger.Close()
		}
	}()

	configured, err := leaderboard.ParseBoards([]byte(boards))
	if err != nil {
		return nil, nil, nil, nil, err
	}
	if catalog, err = ledger.SyncBoards(ctx, configured); err != nil {
		return nil, nil, nil, nil, err
	}
	if conn, err = s.Connect(ctx); err != nil {
		return nil, nil, nil, nil, err
	}
	return ledger, catalog, conn, func() {
		_ = conn.Close(context.WithoutCancel(ctx))
		ledger.Close()
	}, nil
}
