package postgres_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// audited is a ledger with an audit of ten records, and the heads after each.
func audited(t *testing.T) (f *ledgertest.Fixture, heads []leaderboard.AuditHead) {
	f = ledgertest.New(t, server, ledgertest.Boards(t, 1), postgres.Options{})
	player := f.Players(t, 1)[0]
	for i := range 10 {
		action := []leaderboard.AuditAction{leaderboard.Ban, leaderboard.Unban}[i%2]
		record, err := f.Ledger.Moderate(t.Context(), leaderboard.Moderation{Action: action, Actor: "tests", Player: player.ID, Reason: fmt.Sprint("reason ", i)})
		require.NoError(t, err)
		require.Equal(t, int64(i)+1, record.Number)
		heads = append(heads, leaderboard.AuditHead{Number: record.Number, Hash: record.Hash})
	}
	return f, heads
}

// asOwner is a connection as the owner of the schema, who may do what it likes there.
func asOwner(t *testing.T, f *ledgertest.Fixture) *pgx.Conn {
	conn := f.Connect(t)
	_, err := conn.Exec(t.Context(), "SET ROLE "+pgx.Identifier{f.Owner}.Sanitize())
	require.NoError(t, err)
	return conn
}

func verifyAudit(t *testing.T, f *ledgertest.Fixture, vouched *leaderboard.AuditHead) (leaderboard.AuditHead, error) {
	return postgres.VerifyAudit(t.Context(), f.Connect(t), ledgertest.TestSealer, vouched)
}

// rehash makes all hashes again, as who changes a record and knows how they are made.
func rehash(t *testing.T, conn *pgx.Conn) {
	rows, err := conn.Query(t.Context(), "SELECT number, at, actor, action, player::text, board, what, reason, note, changed FROM audit ORDER BY number")
	require.NoError(t, err)
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r leaderboard.AuditRecord, err error) {
		err = row.Scan(&r.Number, &r.At, &r.Actor, &r.Action, &r.Player, &r.Board, &r.What, &r.Reason, &r.Note, &r.Changed)
		return r, err
	})
	require.NoError(t, err)

	var head leaderboard.AuditHead
	for _, r := range records {
		head = leaderboard.AuditHead{Number: r.Number, Hash: r.HashAfter(head.Hash)}
		_, err := conn.Exec(t.Context(), "UPDATE audit SET hash = $2 WHERE number = $1", r.Number, head.Hash[:])
		require.NoError(t, err)
	}
	_, err = conn.Exec(t.Context(), "UPDATE audit_head SET number = $1, hash = $2", head.Number, head.Hash[:])
	require.NoError(t, err)
}

// What the owner of the schema does to the audit is found, and where.
func TestAttacksOnTheAudit(t *testing.T) {
	renumber := "UPDATE audit SET number = CASE number WHEN 4 THEN 107 WHEN 7 THEN 104 ELSE number END; UPDATE audit SET number = number - 100 WHERE number > 100"
	for name, tried := range map[string]struct {
		sql     string
		rehash  bool
		vouched int // the head that is known from elsewhere; 0: none is
		bad     int64
	}{
		"another reason":                   {sql: "UPDATE audit SET reason = 'another' WHERE number = 6", bad: 6},
		"another actor":                    {sql: "UPDATE audit SET actor = 'another' WHERE number = 1", bad: 1},
		"another time":                     {sql: "UPDATE audit SET at = at + interval '1 microsecond' WHERE number = 10", bad: 10},
		"another player":                   {sql: "UPDATE audit SET player = gen_random_uuid() WHERE number = 3", bad: 3},
		"a text in another field":          {sql: "UPDATE audit SET note = reason, reason = note WHERE number = 3", bad: 3},
		"another outcome":                  {sql: "UPDATE audit SET changed = false WHERE number = 2", bad: 2},
		"one is gone":                      {sql: "DELETE FROM audit WHERE number = 5", bad: 5},
		"the first is gone":                {sql: "DELETE FROM audit WHERE number = 1", bad: 1},
		"the last are gone":                {sql: "DELETE FROM audit WHERE number > 8", bad: 9},
		"the last are gone, with the head": {sql: "DELETE FROM audit WHERE number > 8; UPDATE audit_head SET number = 8, hash = (SELECT hash FROM audit WHERE number = 8)", bad: 8},
		"all are gone":                     {sql: "DELETE FROM audit", bad: 1},
		"all are gone, with the head":      {sql: "DELETE FROM audit; UPDATE audit_head SET number = 0, hash = decode(repeat('00', 32), 'hex'), seal = ''", vouched: 10, bad: 1},
		"two have each other's place":      {sql: renumber, bad: 4},
		"one is gone, and the hashes made": {sql: "DELETE FROM audit WHERE number = 10; UPDATE audit SET reason = 'another' WHERE number = 9", rehash: true, bad: 9},
		"another reason, and the hashes":   {sql: "UPDATE audit SET reason = 'another' WHERE number = 6", rehash: true, bad: 10},
		"the same, and the head is known":  {sql: "UPDATE audit SET reason = 'another' WHERE number = 6", rehash: true, vouched: 7, bad: 7},
		"one more":                         {sql: "INSERT INTO audit SELECT 11, at, actor, action, player, board, what, reason, note, changed, hash FROM audit WHERE number = 10", bad: 11},
		"one more, and the hashes":         {sql: "INSERT INTO audit SELECT 11, at, actor, action, player, board, what, reason, note, changed, hash FROM audit WHERE number = 10", rehash: true, bad: 11},
	} {
		t.Run(name, func(t *testing.T) {
			f, heads := audited(t)
			head, err := verifyAudit(t, f, &heads[4])
			require.NoError(t, err)
			require.Equal(t, heads[9], head)

			owner := asOwner(t, f)
			_, err = owner.Exec(t.Context(), tried.sql)
			require.NoError(t, err)
			if tried.rehash {
				rehash(t, owner)
			}
			var vouched *leaderboard.AuditHead
			if tried.vouched > 0 {
				vouched = &heads[tried.vouched-1]
			}
			_, err = verifyAudit(t, f, vouched)
			var broken *postgres.BrokenAuditError
			require.ErrorAs(t, err, &broken)
			require.Equal(t, tried.bad, broken.Number, "%v", err)
			attack.Refused(t, "the owner of the schema changes the audit: "+name, err.Error())
		})
	}
}

// An audit that was put back as it was, with its seal, is found out only by who knows a later
// head.
func TestAnAuditThatWasPutBack(t *testing.T) {
	f, heads := audited(t)
	owner := asOwner(t, f)
	_, err := owner.Exec(t.Context(), "CREATE TABLE kept AS SELECT * FROM audit_head")
	require.NoError(t, err)
	player := f.Players(t, 1)[0]
	record, err := f.Ledger.Moderate(t.Context(), leaderboard.Moderation{Action: leaderboard.Ban, Actor: "tests", Player: player.ID, Reason: "a reason"})
	require.NoError(t, err)
	_, err = owner.Exec(t.Context(), "DELETE FROM audit WHERE number = 11; UPDATE audit_head h SET number = k.number, hash = k.hash, seal = k.seal FROM kept k")
	require.NoError(t, err)

	head, err := verifyAudit(t, f, nil)
	require.NoError(t, err)
	require.Equal(t, heads[9], head)
	_, err = verifyAudit(t, f, &leaderboard.AuditHead{Number: record.Number, Hash: record.Hash})
	require.ErrorContains(t, err, "record 11: it is missing")
}

// A server does not vouch for what was changed: its next record says so.
func TestASealIsNotMadeAgainForWhatWasChanged(t *testing.T) {
	f, heads := audited(t)
	owner := asOwner(t, f)
	_, err := owner.Exec(t.Context(), "UPDATE audit SET reason = 'another' WHERE number = 6")
	require.NoError(t, err)
	rehash(t, owner)

	player := f.Players(t, 1)[0]
	record, err := f.Ledger.Moderate(t.Context(), leaderboard.Moderation{Action: leaderboard.Ban, Actor: "tests", Player: player.ID, Reason: "a reason"})
	require.NoError(t, err)
	require.Equal(t, int64(12), record.Number)
	_, err = verifyAudit(t, f, nil)
	require.ErrorContains(t, err, "record 11: ")
	_, err = verifyAudit(t, f, &heads[4])
	require.ErrorContains(t, err, "record 11: ", "that was before")
	_, err = verifyAudit(t, f, &leaderboard.AuditHead{Number: record.Number, Hash: record.Hash})
	require.NoError(t, err, "who knows a later head vouches for it")
}

// The server's role adds records and reads them, and that is all.
func TestRightsToTheAudit(t *testing.T) {
	f, _ := audited(t)
	conn, err := pgx.Connect(t.Context(), f.URL)
	require.NoError(t, err)
	defer conn.Close(t.Context())

	for _, sql := range []string{"UPDATE audit SET reason = ''", "DELETE FROM audit", "TRUNCATE audit"} {
		_, err := conn.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "permission denied", sql)
		attack.Refused(t, "a server's login of PostgreSQL: "+sql, err.Error())
	}
}
