package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// refoldTarget is the most that giving a board of a million entries and ten million
	// events another scoring may take.
	refoldTarget = time.Minute
	// refoldBefore and refoldAfter are the boards of the game: race becomes a sum.
	refoldBefore = `{"boards": [{"name": "race", "countsTowardGlobal": false}, {"name": "one", "countsTowardGlobal": false}]}`
	refoldAfter  = `{"boards": [{"name": "race", "countsTowardGlobal": false, "scoring": "Sum"}, {"name": "one", "countsTowardGlobal": false}]}`
	// refoldRound is how long submissions run before it is looked again whether the board
	// is switched.
	refoldRound = 500 * time.Millisecond
)

// measureRefold measures how long a board takes to get another scoring, and what
// submissions to it feel of that.
func measureRefold(ctx context.Context, o options, r *report) error {
	entries := o.sizes[len(o.sizes)-1]
	s, err := startedGame(ctx, entries, refoldBefore, o.server)
	if err != nil {
		return err
	}
	defer s.Close()

	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	if err := s.fillRace(ctx, conn, entries, o.events); err != nil {
		return err
	}

	l := load{call: submitTo("durable submit", "race"), connections: standingsConnections, duration: o.duration}
	before, err := s.compare(ctx, l, s.server)
	if err != nil {
		return err
	}
	took, beside, err := s.refold(ctx, conn, l)
	if err != nil {
		return err
	}

	t := r.table("Another scoring", fmt.Sprintf("A board of %d entries, from Best to Sum, of %d events. Latencies in ms; CPU time of one request in microseconds.", entries, o.events), figuresColumns...)
	r.figures(t, "durable submit, before", l.connections, "server", before[0])
	r.figures(t, "durable submit to the board that is refolded", l.connections, "server", beside)
	r.atMost(fmt.Sprintf("refold of %d entries from %d events, with submissions all along", entries, o.events), took.Seconds(), "s", refoldTarget.Seconds())
	r.inform("submit rate, while it is refolded / before", beside.Rate/before[0].Rate, "")
	return nil
}

// fillRace stores events of the board race, at least one of every player.
func (s *game) fillRace(ctx context.Context, conn *pgx.Conn, entries, events int) error {
	return s.fillBoard(ctx, conn, "race", "?page=1", entries, fmt.Sprintf(`INSERT INTO score_events (id, player, score, board, xid)
		SELECT nextval('event_ids'), 1 + (g * 7919) %% %d, (random() * 1e6)::bigint, (SELECT number FROM boards WHERE name = 'race'), (SELECT log_xid())
		FROM generate_series(1::bigint, %d) g`, entries, max(events, entries)))
}

// refold has the board race become a sum with submissions beside it, and says how long it
// took from when the server had read its configuration. The board is read between the
// rounds: it is served all along.
func (s *game) refold(ctx context.Context, conn *pgx.Conn, l load) (took time.Duration, beside figures, err error) {
	if err := os.WriteFile(s.BoardsFile(), []byte(refoldAfter), 0o600); err != nil {
		return 0, beside, err
	}

	client := newClient(l.connections)
	defer client.CloseIdleConnections()
	sum := &tally{program: s.server, client: client}
	ctx, cancel := context.WithTimeout(ctx, rebuildPatience)
	defer cancel()

	var began time.Time
	for {
		if err := s.round(ctx, sum, l, refoldRound); err != nil {
			return 0, beside, err
		}
		if entriesAt(ctx, s.server.URL+"/v1/boards/race/entries?page=1") < 0 {
			return 0, beside, fmt.Errorf("the board is not served\n%s", s.server.Tail())
		}
		var scoring string
		var switched, asked *time.Time
		err := conn.QueryRow(ctx, `SELECT scoring, (SELECT max(retired_at) FROM retired_rankings), (SELECT asked_at FROM refolds) FROM boards WHERE name = 'race'`).
			Scan(&scoring, &switched, &asked)
		if err != nil {
			return 0, beside, err
		}
		if asked != nil {
			began = *asked
		}
		if scoring == "Sum" && switched != nil {
			return switched.Sub(began), sum.figures(), nil
		}
	}
}
