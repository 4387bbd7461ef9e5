package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// windowsConnections is how many clients submit.
	windowsConnections = 256
	// The most of PostgreSQL's CPU that a submission to a board of five windows may take,
	// to that of one, and the least submit rate of one of three.
	windowsCPUTarget, windowsRateTarget = 1.05, 0.75
	// windowsBoards differ in how many windows they have, that of all time included.
	windowsBoards = `{"boards": [
		{"name": "one", "countsTowardGlobal": false},
		{"name": "three", "countsTowardGlobal": false, "windows": [{"name": "daily", "schedule": "daily"}, {"name": "weekly", "schedule": "weekly"}]},
		{"name": "five", "countsTowardGlobal": false, "windows": [{"name": "daily", "schedule": "daily"}, {"name": "weekly", "schedule": "weekly"},
			{"name": "monthly", "schedule": "monthly"}, {"name": "tokyo", "schedule": "daily", "timeZone": "Asia/Tokyo"}]}]}`
	// closeTarget is the most that closing a season of a million entries may take, and
	// besideTarget the least submit rate beside it, to that before.
	closeTarget, besideTarget = 10 * time.Second, 0.9
	// resultsTarget is the most that a page in the middle of results may take.
	resultsTarget = 3 * time.Millisecond
	// closingRound is how long submissions run before it is looked again whether the
	// season is closed.
	closingRound = 500 * time.Millisecond
	// fillRound is between two looks whether what was stored is ranked.
	fillRound = 500 * time.Millisecond
	// opening is how long after its announcement a first season opens, and more.
	opening = 6 * time.Second
)

// measureWindows measures what windows cost a submission, and the end of a season.
func measureWindows(ctx context.Context, o options, r *report) error {
	if err := measureWindowsOpen(ctx, o, r); err != nil {
		return err
	}
	return measureSeasonEnd(ctx, o, r)
}

func submitTo(name, board string) call {
	return call{name: name, method: http.MethodPost, path: submitCall.path, token: true, body: submission(board)}
}

// submitWith is submitTo with another field, which more makes for each submission.
func submitWith(name, board string, more func() string) call {
	c := submitTo(name, board)
	plain := c.body
	c.body = func() []byte {
		body := plain()
		return fmt.Appendf(body[:len(body)-1], ",%s}", more())
	}
	return c
}

func measureWindowsOpen(ctx context.Context, o options, r *report) error {
	s, err := startedGame(ctx, httpPlayers, windowsBoards, o.server)
	if err != nil {
		return err
	}
	defer s.Close()

	if err := pause(ctx, opening); err != nil {
		return err
	}

	var loads []load
	for _, board := range []string{"one", "three", "five"} {
		loads = append(loads, load{call: submitTo("durable submit, windows: "+board, board), connections: windowsConnections, duration: o.duration})
	}
	f, err := s.takeTurns(ctx, standingsWarmUp, loads...)
	if err != nil {
		return err
	}

	t := r.table("Windows", fmt.Sprintf("%d players. The window of all time is one of them. Each load ran for %s, in turn in short rounds. Latencies in ms; CPU time of one request in microseconds.", httpPlayers, o.duration),
		figuresColumns...)
	for i, l := range loads {
		r.figures(t, l.name, l.connections, "server", f[i])
	}
	r.atMost("PostgreSQL's CPU a submission, 5 windows / one", float64(f[2].Postgres)/float64(f[0].Postgres), "", windowsCPUTarget)
	r.atLeast(fmt.Sprintf("submit rate, 3 windows / one, %d connections", windowsConnections), f[1].Rate/f[0].Rate, windowsRateTarget)
	return nil
}

// measureSeasonEnd measures the closing of a season in which every player has an entry.
func measureSeasonEnd(ctx context.Context, o options, r *report) error {
	entries := o.sizes[len(o.sizes)-1]
	s, err := startedGame(ctx, entries, windowsBoards, o.server)
	if err != nil {
		return err
	}
	defer s.Close()

	if err := pause(ctx, opening); err != nil {
		return err
	}

	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	if err := s.fillSeason(ctx, conn, entries); err != nil {
		return err
	}

	l := load{call: submitTo("durable submit", "one"), connections: standingsConnections, duration: o.duration}
	before, err := s.compare(ctx, l, s.server)
	if err != nil {
		return err
	}
	took, beside, err := s.endSeason(ctx, conn, l)
	if err != nil {
		return err
	}

	page := call{name: "a page in the middle of results", method: http.MethodGet,
		path: fmt.Sprintf("/v1/boards/three/entries?window=daily&season=1&page_size=10&from_rank=%d", entries/2), token: true}
	pages, err := s.compare(ctx, load{call: page, connections: 1, duration: o.duration}, s.server)
	if err != nil {
		return err
	}

	t := r.table("The end of a season", fmt.Sprintf("%d entries. Latencies in ms; CPU time of one request in microseconds.", entries), figuresColumns...)
	r.figures(t, "durable submit, before", l.connections, "server", before[0])
	r.figures(t, "durable submit, while a season is closed", l.connections, "server", beside)
	r.figures(t, page.name, 1, "server", pages[0])
	r.atMost(fmt.Sprintf("from the end of a season of %d entries to its results", entries), took.Seconds(), "s", closeTarget.Seconds())
	r.atLeast("submit rate, while it is closed / before", beside.Rate/before[0].Rate, besideTarget)
	r.atMost(fmt.Sprintf("a page in the middle of the results of %d entries, p50", entries), float64(pages[0].P50)/float64(time.Millisecond), "ms", float64(resultsTarget)/float64(time.Millisecond))
	return nil
}

// fillSeason gives every player an entry in the season of the board three.
func (s *game) fillSeason(ctx context.Context, conn *pgx.Conn, entries int) error {
	return s.fillBoard(ctx, conn, "three", "?window=daily&page=1", entries, `INSERT INTO score_events (id, player, score, board, xid)
		SELECT nextval('event_ids'), number, (random() * 1e9)::bigint, (SELECT number FROM boards WHERE name = 'three'), (SELECT log_xid()) FROM players`)
}

// fillBoard stores events of a board by a statement, and waits until its ranking, which the
// query is asked of, and its standings of all time have so many entries.
func (s *game) fillBoard(ctx context.Context, conn *pgx.Conn, board, query string, entries int, insert string) error {
	for _, sql := range []string{"SET synchronous_commit = off", insert, "VACUUM ANALYZE score_events"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("store the events of %d entries: %w", entries, err)
		}
	}

	ctx, cancel := context.WithTimeout(ctx, rebuildPatience)
	defer cancel()
	for saved := 0; saved != entries || entriesAt(ctx, s.server.URL+"/v1/boards/"+board+"/entries"+query) != int64(entries); {
		if err := pause(ctx, fillRound); err != nil {
			return err
		}
		err := conn.QueryRow(ctx, "SELECT count(*) FROM standings WHERE board = (SELECT number FROM boards WHERE name = $1)", board).Scan(&saved)
		if err != nil {
			return err
		}
	}
	_, err := conn.Exec(ctx, "CHECKPOINT")
	return err
}

// endSeason ends the season with submissions beside it, and says how long it took from its
// end until its results could be read.
func (s *game) endSeason(ctx context.Context, conn *pgx.Conn, l load) (took time.Duration, beside figures, err error) {
	var ends time.Time
	var left float64
	if err := conn.QueryRow(ctx, "SELECT ends, extract(epoch FROM ends - clock_timestamp())::float8 FROM end_season('three', 'daily', NULL, '-infinity') ends").Scan(&ends, &left); err != nil {
		return 0, beside, err
	}
	if err := pause(ctx, time.Duration(left*float64(time.Second))); err != nil {
		return 0, beside, err
	}

	client := newClient(l.connections)
	defer client.CloseIdleConnections()
	sum := &tally{program: s.server, client: client}
	ctx, cancel := context.WithTimeout(ctx, rebuildPatience)
	defer cancel()

	for {
		if err := s.round(ctx, sum, l, closingRound); err != nil {
			return 0, beside, err
		}
		var closed *time.Time
		if err := conn.QueryRow(ctx, "SELECT closed_at FROM window_seasons WHERE closes_at = $1", ends).Scan(&closed); err != nil {
			return 0, beside, err
		}
		if closed != nil {
			return closed.Sub(ends), sum.figures(), nil
		}
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
