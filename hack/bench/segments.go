package main

import (
	"context"
	"fmt"
	"strings"
)

const (
	// segmentsConnections is how many clients submit.
	segmentsConnections = 256
	// segmentValues is how many values players have of the attribute: as many as there are
	// countries, or so.
	segmentValues = 200
	// segmentsRateTarget is the least submit rate to a board that is split by one attribute,
	// to that of one that is not: as with another window, each submission has two rankings.
	segmentsRateTarget = 0.75
)

// segmentsBoards differ in by what they are split.
func segmentsBoards() string {
	values := make([]string, segmentValues)
	for i := range values {
		values[i] = fmt.Sprintf(`"v%d"`, i)
	}
	return `{"attributes": [{"name": "country", "values": [` + strings.Join(values, ", ") + `]}], "boards": [
		{"name": "whole", "countsTowardGlobal": false},
		{"name": "split", "countsTowardGlobal": false, "segments": ["country"]}]}`
}

// measureSegments measures what a segment costs a submission.
func measureSegments(ctx context.Context, o options, r *report) error {
	s, err := startedGame(ctx, httpPlayers, segmentsBoards(), o.server)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.spreadPlayers(ctx); err != nil {
		return err
	}

	loads := []load{{call: submitTo("durable submit, no segments", "whole")}, {call: submitTo(fmt.Sprintf("durable submit, %d segments", segmentValues), "split")}}
	for i := range loads {
		loads[i].connections, loads[i].duration = segmentsConnections, o.duration
	}
	f, err := s.takeTurns(ctx, standingsWarmUp, loads...)
	if err != nil {
		return err
	}

	t := r.table("Segments", fmt.Sprintf("%d players, who have %d values of an attribute. Each load ran for %s, in turn in short rounds. Latencies in ms; CPU time of one request in microseconds.",
		httpPlayers, segmentValues, o.duration), figuresColumns...)
	for i, l := range loads {
		r.figures(t, l.name, segmentsConnections, "server", f[i])
	}
	r.atLeast(fmt.Sprintf("submit rate, %d segments / none, %d connections", segmentValues, segmentsConnections), f[1].Rate/f[0].Rate, segmentsRateTarget)
	return nil
}

// spreadPlayers gives every player one of the values.
func (s *game) spreadPlayers(ctx context.Context) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	for _, sql := range []string{
		`INSERT INTO attribute_values (number, attribute, value) SELECT 1 + v, 'country', 'v' || v FROM generate_series(0, $1::int - 1) v`,
		`INSERT INTO player_attributes (player, attribute, value) SELECT number, 'country', 1 + number % $1::int FROM players`,
	} {
		if _, err := conn.Exec(ctx, sql, segmentValues); err != nil {
			return fmt.Errorf("give the players attributes: %w", err)
		}
	}
	return nil
}
