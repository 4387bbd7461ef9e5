package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// columnsConnections is how many clients submit.
	columnsConnections = 256
	// columnsRateTarget is the least submit rate of a board of two further columns, to that
	// of one without, and columnBytesTarget the most that a column may take of Redis an entry.
	columnsRateTarget, columnBytesTarget = 0.95, 10
	// columnsBoards differ in their columns.
	columnsBoards = `{"boards": [
		{"name": "none", "countsTowardGlobal": false},
		{"name": "two", "countsTowardGlobal": false, "columns": [{"name": "deaths", "order": "Ascending"}, {"name": "time"}]}]}`
	// greatestColumn bounds the columns of the bench: a count, or milliseconds of a minute.
	greatestColumn = 60_000
)

// measureColumns measures what two further columns cost a submission, and an entry.
func measureColumns(ctx context.Context, o options, r *report) error {
	s, err := startedGame(ctx, httpPlayers, columnsBoards, o.server)
	if err != nil {
		return err
	}
	defer s.Close()

	none := submitTo("durable submit, no columns", "none")
	two := submitWith("durable submit, two columns", "two", func() string {
		return fmt.Sprintf(`"columns":{"deaths":%d,"time":%d}`, rand.IntN(greatestColumn), rand.IntN(greatestColumn))
	})
	f, err := s.takeTurns(ctx, standingsWarmUp, load{call: none, connections: columnsConnections, duration: o.duration},
		load{call: two, connections: columnsConnections, duration: o.duration})
	if err != nil {
		return err
	}

	bytes, err := s.columnBytes(ctx)
	if err != nil {
		return err
	}

	t := r.table("Columns", fmt.Sprintf("%d players. Each load ran for %s, in turn in short rounds. Latencies in ms; CPU time of one request in microseconds.", httpPlayers, o.duration),
		figuresColumns...)
	r.figures(t, none.name, columnsConnections, "server", f[0])
	r.figures(t, two.name, columnsConnections, "server", f[1])
	r.atLeast("submit rate, two columns / none", f[1].Rate/f[0].Rate, columnsRateTarget)
	r.atMost(fmt.Sprintf("a column in Redis an entry, values up to %d", greatestColumn), bytes, "bytes", columnBytesTarget)
	return nil
}

// columnBytes is how much more of Redis an entry takes for one column: every player gets an
// entry on the board that has none, then on the one of two.
func (s *game) columnBytes(ctx context.Context) (float64, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	var took [2]float64
	for i, board := range []string{"none", "two"} {
		if took[i], err = s.entryBytes(ctx, conn, board); err != nil {
			return 0, err
		}
	}
	return (took[1] - took[0]) / 2, nil
}

// entryBytes is how much of Redis the new entries of players take who had none on the board.
func (s *game) entryBytes(ctx context.Context, conn *pgx.Conn, board string) (float64, error) {
	url := s.server.URL + "/v1/boards/" + board + "/entries?page=1"
	had := entriesAt(ctx, url)
	before, err := s.redisBytes(ctx)
	if err != nil {
		return 0, err
	}

	// As if they had submitted: catch-up finds their events in the log.
	_, err = conn.Exec(ctx, `INSERT INTO players (id, username, username_key, password_hash)
		SELECT gen_random_uuid(), $1 || i, $1 || i, 'none' FROM generate_series(1, $2) i`, "of-"+board+"-", httpPlayers)
	if err != nil {
		return 0, fmt.Errorf("make players: %w", err)
	}
	_, err = conn.Exec(ctx, `INSERT INTO score_events (id, player, score, board, xid, columns)
		SELECT nextval('event_ids'), p.number, (random() * 1e6)::bigint, b.number, (SELECT log_xid()),
			CASE WHEN jsonb_array_length(b.columns) > 0 THEN ARRAY[(random() * $3)::bigint, (random() * $3)::bigint] END
		FROM players p, boards b WHERE b.name = $1 AND p.username LIKE $2 || '%'`, board, "of-"+board+"-", greatestColumn)
	if err != nil {
		return 0, fmt.Errorf("store events: %w", err)
	}

	ctx, cancel := context.WithTimeout(ctx, rebuildPatience)
	defer cancel()
	for entriesAt(ctx, url) != had+httpPlayers {
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
	after, err := s.redisBytes(ctx)
	return float64(after-before) / httpPlayers, err
}
