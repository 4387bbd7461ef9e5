package main

import (
	"context"
	"fmt"
	"strings"
)

const (
	// metadataConnections is how many clients submit.
	metadataConnections = 256
	// metadataBytes is how much they bring: a car, a build or the name of a ghost.
	metadataBytes = 200
	// metadataRateTarget is the least submit rate with metadata, to that without on the same
	// server, and metadataSpaceTarget the most that PostgreSQL takes beyond its bytes.
	metadataRateTarget, metadataSpaceTarget = 0.75, 100
	// metadataBoards differ in what they take.
	metadataBoards = `{"boards": [
		{"name": "none", "countsTowardGlobal": false},
		{"name": "some", "countsTowardGlobal": false, "metadata": {}},
		{"name": "held", "countsTowardGlobal": false, "metadata": {"schema": {"required": ["car"], "additionalProperties": false,
			"properties": {"car": {"enum": ["roadster", "coupe"]}, "laps": {"type": "array", "items": {"type": "integer"}}, "ghost": {"type": "string", "pattern": "^[a-z]*$"}}}}}]}`
)

// measureMetadata measures what metadata costs a submission, without and with a schema, and
// PostgreSQL.
func measureMetadata(ctx context.Context, o options, r *report) error {
	s, err := startedGame(ctx, httpPlayers, metadataBoards, o.server)
	if err != nil {
		return err
	}
	defer s.Close()

	metadata := `{"car":"roadster","laps":[61250,60990,61010],"ghost":""}`
	metadata = strings.Replace(metadata, `""`, `"`+strings.Repeat("g", metadataBytes-len(metadata))+`"`, 1)
	field := `"metadata":` + metadata
	with := func(board, name string) call {
		return submitWith("durable submit, "+name, board, func() string { return field })
	}

	loads := []load{{call: submitTo("durable submit, no metadata", "none")},
		{call: with("some", fmt.Sprintf("%d bytes of metadata", metadataBytes))}, {call: with("held", fmt.Sprintf("%d bytes held to a schema", metadataBytes))}}
	for i := range loads {
		loads[i].connections, loads[i].duration = metadataConnections, o.duration
	}
	f, err := s.takeTurns(ctx, standingsWarmUp, loads...)
	if err != nil {
		return err
	}

	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var space float64
	if err := conn.QueryRow(ctx, "SELECT pg_total_relation_size('event_metadata')::float8 / count(*) FROM event_metadata").Scan(&space); err != nil {
		return fmt.Errorf("look how much metadata takes: %w", err)
	}

	t := r.table("Metadata", fmt.Sprintf("%d players. Each load ran for %s, in turn in short rounds. Latencies in ms; CPU time of one request in microseconds.", httpPlayers, o.duration),
		figuresColumns...)
	for i, l := range loads {
		r.figures(t, l.name, metadataConnections, "server", f[i])
	}
	r.atLeast(fmt.Sprintf("submit rate, %d bytes of metadata / none", metadataBytes), f[1].Rate/f[0].Rate, metadataRateTarget)
	r.inform("submit rate, held to a schema / none", f[2].Rate/f[0].Rate, "")
	r.atMost(fmt.Sprintf("PostgreSQL a submission, beyond %d bytes of metadata", metadataBytes), space-metadataBytes, "bytes", metadataSpaceTarget)
	return nil
}
