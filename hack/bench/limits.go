package main

import (
	"context"
	"fmt"
)

const (
	// limitsConnections is how many clients submit.
	limitsConnections = 256
	// limitsRateTarget is the least submit rate of a board with limits, to that of one without.
	limitsRateTarget = 0.95
	// limitsBoards differ in their limits, which no player of the bench reaches.
	limitsBoards = `{"boards": [
		{"name": "none", "countsTowardGlobal": false},
		{"name": "minute", "countsTowardGlobal": false, "limits": {"perMinute": 100}},
		{"name": "attempts", "countsTowardGlobal": false, "limits": {"perMinute": 100, "attempts": [{"window": "all", "max": 1000000}]}}]}`
)

// measureLimits measures what it costs a submission to be counted.
func measureLimits(ctx context.Context, o options, r *report) error {
	s, err := startedGame(ctx, httpPlayers, limitsBoards, o.server)
	if err != nil {
		return err
	}
	defer s.Close()

	loads := []load{{call: submitTo("durable submit, no limits", "none")}, {call: submitTo("durable submit, so many a minute", "minute")},
		{call: submitTo("durable submit, so many a minute and in all", "attempts")}}
	for i := range loads {
		loads[i].connections, loads[i].duration = limitsConnections, o.duration
	}
	f, err := s.takeTurns(ctx, standingsWarmUp, loads...)
	if err != nil {
		return err
	}

	t := r.table("Limits of players", fmt.Sprintf("%d players. Each load ran for %s, in turn in short rounds. Latencies in ms; CPU time of one request in microseconds.", httpPlayers, o.duration),
		figuresColumns...)
	for i, l := range loads {
		r.figures(t, l.name, limitsConnections, "server", f[i])
	}
	r.atLeast("submit rate, so many a minute / no limits", f[1].Rate/f[0].Rate, limitsRateTarget)
	r.atLeast("submit rate, so many a minute and in all / no limits", f[2].Rate/f[0].Rate, limitsRateTarget)
	return nil
}
