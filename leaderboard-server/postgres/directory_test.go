package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// directory is a directory whose players get other names in the database, as after
// a restore that gave their numbers to somebody else.
type directory struct {
	*postgres.Directory
	*ledgertest.Fixture
	conn *pgx.Conn
}

func newDirectory(t *testing.T) *directory {
	t.Helper()
	f := newFixture(t, postgres.Options{Timeout: time.Minute, NamesTimeout: time.Minute})
	made, err := postgres.NewDirectory(f.Ledger, 100)
	require.NoError(t, err)
	return &directory{made, f, f.Connect(t)}
}

func (d *directory) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := d.conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (d *directory) rename(t *testing.T, name string) {
	t.Helper()
	d.exec(t, "UPDATE players SET username = $1 || number", name)
}

func (d *directory) names(t *testing.T, player leaderboard.PlayerName) (byNumber, byID string) {
	t.Helper()
	names, err := d.Names(t.Context(), []int64{player.Number})
	require.NoError(t, err)
	name, err := d.Name(t.Context(), player.ID)
	require.NoError(t, err)
	return names[player.Number].Username, name.Username
}

func (d *directory) requireNames(t *testing.T, player leaderboard.PlayerName, want string) {
	t.Helper()
	byNumber, byID := d.names(t, player)
	require.Equal(t, []string{want, want}, []string{byNumber, byID})
}

func TestNamesEndWithTheLedgersIdentity(t *testing.T) {
	d := newDirectory(t)
	players := d.Players(t, 2)
	stored := store(t, d.Ledger, ledgertest.Submission(players[0], "race", 1))
	first := players[0]
	d.rename(t, "before-")
	d.requireNames(t, first, "before-1")

	d.rename(t, "after-")
	d.ObserveIdentity(stored.Identity)
	d.requireNames(t, first, "before-1") // the same ledger: from memory

	d.ObserveIdentity("another")
	d.requireNames(t, first, "after-1")

	// Looking one name up shows that the ledger is another: all others end.
	d.rename(t, "restored-")
	d.exec(t, "CREATE OR REPLACE FUNCTION ledger_identity() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'restored' $$")
	d.requireNames(t, first, "after-1")
	d.requireNames(t, players[1], "restored-2")
	d.requireNames(t, first, "restored-1")
}

// A name that was read before the identity changed is not remembered after it.
func TestNamesOnTheirWayEndWithTheIdentity(t *testing.T) {
	d := newDirectory(t)
	first := d.Players(t, 1)[0]
	d.rename(t, "before-")
	d.exec(t, "BEGIN")
	d.exec(t, "LOCK TABLE players IN ACCESS EXCLUSIVE MODE")

	type answer struct{ byNumber, byID string }
	answers := make(chan answer)
	go func() {
		names, err := d.Names(t.Context(), []int64{first.Number})
		if err != nil {
			t.Error(err)
		}
		answers <- answer{byNumber: names[first.Number].Username}
	}()
	go func() {
		name, err := d.Name(t.Context(), first.ID)
		if err != nil {
			t.Error(err)
		}
		answers <- answer{byID: name.Username}
	}()

	require.Eventually(t, func() bool {
		var waiting int
		err := d.conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE relation = 'players'::regclass AND NOT granted").Scan(&waiting)
		return err == nil && waiting == 2
	}, 20*time.Second, 5*time.Millisecond)

	d.ObserveIdentity("another")
	d.exec(t, "COMMIT")
	one, other := <-answers, <-answers
	require.Equal(t, answer{"before-1", "before-1"}, answer{one.byNumber + other.byNumber, one.byID + other.byID})

	d.rename(t, "after-")
	d.requireNames(t, first, "after-1")
}
