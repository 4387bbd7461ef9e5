package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const (
	// standingsConnections is how many clients submit.
	standingsConnections = 64
	// standingsTarget is the least submit rate of a board that counts toward global,
	// to that of a board that does not.
	standingsTarget = 0.97
	// standingsBoards are equal but for global.
	standingsBoards = `{"boards": [{"name": "race"}, {"name": "solo", "countsTowardGlobal": false}]}`
	// standingsWarmUp is long enough for most of who is online to get a standing, so
	// that what counts changes standings and does not make them.
	standingsWarmUp = 2 * time.Second
)

// submitSoloCall has one standing, submitRaceCall two.
var submitSoloCall = call{name: "durable submit, one standing", method: http.MethodPost, path: submitCall.path, token: true, body: submission("solo")}

// measureStandings measures what the second standing of a submission costs: two boards
// that differ in nothing but whether they count toward global take turns.
func measureStandings(ctx context.Context, o options, r *report) error {
	s, err := newGameWith(ctx, httpPlayers, standingsBoards)
	if err != nil {
		return err
	}
	defer s.Close()

	if err := s.startServer(ctx, o.server); err != nil {
		return err
	}
	if err := s.meet(ctx, s.server); err != nil {
		return err
	}

	client := newClient(standingsConnections)
	defer client.CloseIdleConnections()
	loads, sums := make([]load, 2), make([]*tally, 2)
	for i, c := range []call{submitSoloCall, submitRaceCall} {
		loads[i] = load{call: c, connections: standingsConnections, duration: o.duration}
		sums[i] = &tally{program: s.server, client: client}
		if err := s.round(ctx, &tally{program: s.server, client: client}, loads[i], standingsWarmUp); err != nil {
			return err
		}
	}
	for i := range 2 * rounds {
		// Each goes first as often as the other.
		turn := (i + i/2) % 2
		if err := s.round(ctx, sums[turn], loads[turn], o.duration/rounds); err != nil {
			return err
		}
	}

	t := r.table("One standing and two", fmt.Sprintf("%d players. Each load ran for %s, in turn in short rounds. Latencies in ms; CPU time of one request in microseconds.", httpPlayers, o.duration),
		"load", "connections", "program", "requests/s", "p50", "p99", "p99.9", "failed", "CPU generator", "CPU server", "CPU PostgreSQL", "CPU Redis")
	one, two := sums[0].figures(), sums[1].figures()
	r.figures(t, loads[0].name, standingsConnections, "server", one)
	r.figures(t, loads[1].name, standingsConnections, "server", two)
	r.atLeast("submit rate, two standings / one standing", two.Rate/one.Rate, standingsTarget)
	return nil
}
