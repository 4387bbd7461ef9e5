package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// beforeTarget is the least share of what an earlier server does that the server keeps, for
// games that use nothing which came since.
const beforeTarget = 0.97

// measureBefore compares the server with the program of an earlier version, as two replicas of
// one game: what is measured is the programs and their statements, on the schema of the newer one.
func measureBefore(ctx context.Context, o options, r *report) error {
	if o.before == "" {
		return nil
	}
	before, err := filepath.Abs(o.before)
	if err != nil {
		return err
	}

	s, err := startedGame(ctx, httpPlayers, boards, o.server)
	if err != nil {
		return err
	}
	defer s.Close()

	earlier, err := s.Start("before", before, func(string) []string { return []string{"serve"} }, nil)
	if err != nil {
		return err
	}
	if err := await(ctx, earlier); err != nil {
		return fmt.Errorf("the earlier server: %w", err)
	}
	if err := s.meet(ctx, earlier); err != nil {
		return err
	}

	t := r.table("An earlier version", fmt.Sprintf("%d players. Each load ran for %s, the earlier server and this one in turn in short rounds. Latencies in ms; CPU time of one request in microseconds.", httpPlayers, o.duration),
		figuresColumns...)
	for _, connections := range connectionCounts {
		for _, c := range []call{submitCall, firstPageCall, ownRankCall} {
			f, err := s.compare(ctx, load{call: c, connections: connections, duration: o.duration}, earlier, s.server)
			if err != nil {
				return err
			}
			r.figures(t, c.name, connections, "earlier", f[0])
			r.figures(t, c.name, connections, "server", f[1])
			r.atLeast(fmt.Sprintf("%s / earlier version, %d connections", c.name, connections), f[1].Rate/f[0].Rate, beforeTarget)
		}
	}
	return nil
}
