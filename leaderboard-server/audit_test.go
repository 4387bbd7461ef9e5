package main

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

func TestAuditVerify(t *testing.T) {
	environment := environment(t)
	require.NoError(t, run(t.Context(), []string{"migrate"}, list(environment), io.Discard, io.Discard))
	var out bytes.Buffer
	verify := func(arguments ...string) error {
		out.Reset()
		return run(t.Context(), append([]string{"audit", "verify"}, arguments...), list(environment), &out, io.Discard)
	}
	require.NoError(t, verify())

	// What a server with these settings records.
	file, err := os.ReadFile(environment[config.EnvKeySetFile])
	require.NoError(t, err)
	keys, err := keyset.Parse(file)
	require.NoError(t, err)
	tokens, err := auth.NewTokens(environment[config.EnvTenant], time.Hour, time.Now)
	require.NoError(t, err)
	tokens.SetKeys(keys)
	ledger, err := postgres.Open(t.Context(), postgres.Options{URL: environment[config.EnvDatabaseURL], Sealer: tokens.Sealer(auditPurpose)})
	require.NoError(t, err)
	defer ledger.Close()
	player, err := ledger.CreatePlayer(t.Context(), leaderboard.Player{Username: "ada", UsernameKey: "ada"}, nil)
	require.NoError(t, err)
	var last leaderboard.AuditRecord
	for _, action := range []leaderboard.AuditAction{leaderboard.Ban, leaderboard.Unban, leaderboard.Ban} {
		last, err = ledger.Moderate(t.Context(), leaderboard.Moderation{Action: action, Actor: "tests", Player: player.ID, Reason: "a reason"})
		require.NoError(t, err)
	}

	head := leaderboard.AuditHead{Number: last.Number, Hash: last.Hash}.String()
	require.NoError(t, verify("-head", head))
	require.Contains(t, out.String(), head)
	require.ErrorContains(t, verify("-head", "3:0f"), "NUMBER:HASH")
	require.ErrorContains(t, verify("everything"), "takes no argument")
	require.Error(t, run(t.Context(), []string{"audit"}, list(environment), io.Discard, io.Discard))

	conn, err := pgx.Connect(t.Context(), environment[config.EnvDatabaseURL])
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "DELETE FROM audit WHERE number = 2")
	require.NoError(t, err)
	require.ErrorContains(t, verify(), "record 2: it is missing")
	require.Equal(t, "2\n", out.String())
}
