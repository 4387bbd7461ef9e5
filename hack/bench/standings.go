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
	s, err := startedGame(ctx, httpPlayers, standingsBoards, o.server)
	if err != nil {
		return err
	}
	defer s.Close()

	loads := []load{{call: submitSoloCall, connections: standingsConnections, duration: o.duration},
		{call: submitRaceCall, connections: standingsConnections, duration: o.duration}}
	f, err := s.takeTurns(ctx, standingsWarmUp, loads...)
	if err != nil {
		return err
	}

	t := r.table("One standing and two", fmt.Sprintf("%d players. Each load ran for %s, in turn in short rounds. Latencies in ms; CPU time of one request in microseconds.", httpPlayers, o.duration),
		figuresColumns...)
	for i, l := range loads {
		r.figures(t, l.name, l.connections, "server", f[i])
	}
	r.atLeast("submit rate, two standings / one standing", f[1].Rate/f[0].Rate, standingsTarget)
	return nil
}
