package postgres_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// with is a submission with metadata.
func with(s leaderboard.Submission, metadata string) leaderboard.Submission {
	s.Metadata = metadata
	return s
}

// keyed is a submission with an idempotency key.
func keyed(s leaderboard.Submission, key string) leaderboard.Submission {
	s.IdempotencyKey = key
	return s
}

func metadataCount(t *testing.T, conn *pgx.Conn) (count int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM event_metadata").Scan(&count))
	return count
}

// Whatever else is in its batch, metadata is that of its submission's event, as it was sent.
func TestMetadataIsStoredWithItsEvent(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)
	players := f.Players(t, 3)
	texts := []string{`{"a":1.50,"b":"<\u0000\ud83d\ude00é>"}`, `{}`, `{"a":"` + strings.Repeat("x", leaderboard.MaxMetadata-8) + `"}`}

	for _, board := range []string{"speed", "mood", "coins", leaderboard.GlobalBoard} { // both statements
		batch := []leaderboard.Submission{
			with(ledgertest.Submission(players[0], board, 1), texts[0]), ledgertest.Submission(players[1], board, 2),
			with(keyed(ledgertest.Submission(players[2], board, 3), "k-"+board), texts[1]),
			with(ledgertest.Submission(players[0], "nowhere", 1), texts[0]), with(ledgertest.Submission(players[1], "race", 2), texts[2]),
		}
		before := metadataCount(t, conn)
		outcomes := store(t, f.Ledger, batch...).Outcomes
		require.Equal(t, leaderboard.CodeNoBoard, leaderboard.CodeOf(outcomes[3].Err))
		require.Equal(t, before+3, metadataCount(t, conn))

		var events []int64
		want := map[int64]string{}
		for i, o := range outcomes {
			events = append(events, o.Event)
			if batch[i].Metadata != "" && o.Err == nil {
				want[o.Event] = batch[i].Metadata
			}
		}
		got, err := f.Ledger.Metadata(t.Context(), events)
		require.NoError(t, err)
		require.Equal(t, want, got)

		// A repetition changes nothing, and other metadata is another submission.
		again := store(t, f.Ledger, batch[2]).Outcomes[0]
		require.True(t, again.Replayed)
		require.Equal(t, outcomes[2].Event, again.Event)
		for _, other := range []string{"", `{"a":1}`} {
			refused := store(t, f.Ledger, with(batch[2], other)).Outcomes[0]
			require.Equal(t, leaderboard.CodeKeyReused, leaderboard.CodeOf(refused.Err))
		}
		require.Equal(t, before+3, metadataCount(t, conn))
	}

	_, err := conn.Exec(t.Context(), "UPDATE players SET state = 'disabled'")
	require.NoError(t, err)
	before := metadataCount(t, conn)
	for _, board := range []string{"speed", "coins"} {
		require.Equal(t, leaderboard.CodeForbidden, leaderboard.CodeOf(store(t, f.Ledger, with(ledgertest.Submission(players[0], board, 1), texts[0])).Outcomes[0].Err))
	}
	require.Equal(t, before, metadataCount(t, conn))
	requireSound(t, f.Ledger)
}

// Metadata that cannot be looked up soon is told to be unavailable.
func TestMetadataIsNotWaitedFor(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	held, err := f.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), "LOCK TABLE event_metadata IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	_, err = f.Ledger.Metadata(t.Context(), []int64{1})
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
}

// What a board takes is kept as it is configured, and a change is told to all servers.
func TestMetadataRulesAreKept(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	rules := leaderboard.MetadataRules{MaxBytes: 100, Schema: `{"properties":{"b":{"const":1.50},"a":{"pattern":"\u0000"}}}`}
	sync := func(rules leaderboard.MetadataRules) *leaderboard.Catalog {
		list := ledgertest.Boards(t, 1).All()[1:]
		list[0].Metadata = rules
		boards, err := leaderboard.NewBoards(list...)
		require.NoError(t, err)
		catalog, err := f.Ledger.SyncBoards(t.Context(), boards)
		require.NoError(t, err)
		return catalog
	}

	first := sync(rules)
	require.Equal(t, rules, first.All()[1].Metadata)
	require.Equal(t, leaderboard.MetadataRules{}, first.All()[2].Metadata)
	require.Equal(t, first.Version(), sync(rules).Version(), "nothing was changed")
	rules.MaxBytes = 200
	changed := sync(rules)
	require.Equal(t, rules, changed.All()[1].Metadata)
	require.Greater(t, changed.Version(), first.Version())
	require.Equal(t, leaderboard.MetadataRules{}, sync(leaderboard.MetadataRules{}).All()[1].Metadata)
}

// retentionFixture has metadata of events that retention is to drop, and of some that it keeps.
type retentionFixture struct {
	*ledgertest.Fixture
	conn *pgx.Conn
	// keeps is a server with retention.
	keeps *postgres.Ledger
	// best is a player's best event, of an entry, worse is no entry's, closed is in a result
	// alone, and recent is in the log.
	best, worse, closed, recent int64
}

func newRetentionFixture(t *testing.T) *retentionFixture {
	t.Helper()
	const retention = 40 * 24 * time.Hour
	f := &retentionFixture{Fixture: newFixture(t, postgres.Options{})}
	f.conn = f.Connect(t)
	f.keeps = f.Open(t, postgres.Options{EventRetention: retention})
	player := f.Players(t, 1)[0]
	submit := func(board string, score int64) int64 {
		return store(t, f.Ledger, with(ledgertest.Submission(player, board, score), fmt.Sprintf(`{"score":%d}`, score))).Outcomes[0].Event
	}
	// Golf does not count toward global.
	f.worse, f.best, f.closed = submit("golf", 9), submit("golf", 9), submit("race", 9)
	_, err := f.Ledger.SyncBoards(t.Context(), ledgertest.Boards(t, 1))
	require.NoError(t, err)
	f.recent = submit("race", 5)
	ledgertest.SaveStandings(t, f.Ledger)

	// The first events are of 2020, the last one of the oldest month that is kept.
	for _, sql := range []string{
		"CREATE TABLE score_events_202001 PARTITION OF score_events FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00')",
		fmt.Sprintf(`DO $$
			DECLARE first timestamp := date_trunc('month', (now() - interval '40 days') AT TIME ZONE 'UTC');
			BEGIN
				EXECUTE format('CREATE TABLE %%I PARTITION OF score_events FOR VALUES FROM (%%L) TO (%%L)', 'score_events_' || to_char(first, 'YYYYMM'),
					first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
				UPDATE score_events SET at = CASE WHEN id = %d THEN (first + interval '3 days') AT TIME ZONE 'UTC' ELSE '2020-01-02+00' END;
			END $$`, f.recent),
		fmt.Sprintf(`INSERT INTO result_ranks (board, season, first_rank, players, scores, events, first_order) VALUES (2, 5, 1, '{1,2}', '{9,9}', '{%d,99999}', -9)`, f.closed),
		`DO $$ DECLARE child text; BEGIN
			FOR child IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'score_events'::regclass LOOP
				EXECUTE format('ALTER TABLE %s OWNER TO %I', child, (SELECT tableowner FROM pg_tables WHERE tablename = 'score_events' AND schemaname = current_schema()));
			END LOOP;
		END $$`,
		"UPDATE report_progress SET days_until = now() AT TIME ZONE 'UTC'",
	} {
		_, err := f.conn.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	return f
}

// left are the events that have metadata.
func (f *retentionFixture) left(t *testing.T) []int64 {
	t.Helper()
	rows, err := f.conn.Query(t.Context(), "SELECT event FROM event_metadata ORDER BY event")
	require.NoError(t, err)
	left, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	require.NoError(t, err)
	return left
}

func (f *retentionFixture) maintain(t *testing.T) {
	t.Helper()
	require.NoError(t, f.keeps.Maintain(t.Context()))
}

// Metadata outlives the log where an entry or a result is of its event, and only there.
func TestMetadataIsCollected(t *testing.T) {
	f := newRetentionFixture(t)
	require.NoError(t, f.Ledger.Maintain(t.Context()), "without retention nothing goes")
	require.Len(t, f.left(t), 4)

	f.maintain(t)
	var dropped bool
	require.NoError(t, f.conn.QueryRow(t.Context(), "SELECT to_regclass('score_events_202001') IS NULL").Scan(&dropped))
	require.True(t, dropped)
	require.Equal(t, []int64{f.best, f.closed, f.recent}, f.left(t))

	// It is not gone through again before more of the log is dropped.
	_, err := f.conn.Exec(t.Context(), "DELETE FROM result_ranks")
	require.NoError(t, err)
	f.maintain(t)
	require.Equal(t, []int64{f.best, f.closed, f.recent}, f.left(t))
	_, err = f.conn.Exec(t.Context(), "UPDATE metadata_collection SET log_begins = '2020-01-01+00'")
	require.NoError(t, err)
	f.maintain(t)
	require.Equal(t, []int64{f.best, f.recent}, f.left(t))
}

// One server collects at a time, and the next one goes on where it stopped.
func TestMetadataIsCollectedByOneServerAtATime(t *testing.T) {
	f := newRetentionFixture(t)
	take := func(until string, position int64) {
		t.Helper()
		_, err := f.conn.Exec(t.Context(), "UPDATE metadata_collection SET taken_until = $1::timestamptz, position = $2", until, position)
		require.NoError(t, err)
	}
	take("infinity", 0)
	f.maintain(t)
	require.Len(t, f.left(t), 4)

	take("-infinity", f.worse)
	f.maintain(t)
	require.Len(t, f.left(t), 4, "it was gone through before")
	var position int64
	var taken bool
	require.NoError(t, f.conn.QueryRow(t.Context(), "SELECT position, taken_until > now() FROM metadata_collection").Scan(&position, &taken))
	require.Zero(t, position, "it is done")
	require.False(t, taken)
}

// Where the log has only just begun, nothing is collected: a batch may be about to commit what
// has a lower number.
func TestMetadataOfARecentLogIsNotCollected(t *testing.T) {
	f := newRetentionFixture(t)
	_, err := f.conn.Exec(t.Context(), "UPDATE score_events SET at = now() WHERE id = $1", f.recent)
	require.NoError(t, err)
	f.maintain(t)
	require.Len(t, f.left(t), 4)
}

// Metadata comes to a schema that is in use; boards take none until they are told to.
func TestMetadataIsMigrated(t *testing.T) {
	f := ledgertest.NewAt(t, server, 16, postgres.Options{})
	owner := f.Connect(t)
	_, err := owner.Exec(t.Context(), "SET ROLE "+pgx.Identifier{f.Owner}.Sanitize())
	require.NoError(t, err)
	require.NoError(t, postgres.Migrate(t.Context(), owner, f.Schema))

	catalog, err := f.Ledger.LoadCatalog(t.Context())
	require.NoError(t, err)
	for _, board := range catalog.All() {
		require.Zero(t, board.Metadata)
	}
	player := f.Players(t, 1)[0]
	event := store(t, f.Ledger, with(ledgertest.Submission(player, "speed", 5), `{"a":1}`)).Outcomes[0].Event
	found, err := f.Ledger.Metadata(t.Context(), []int64{event})
	require.NoError(t, err)
	require.Equal(t, map[int64]string{event: `{"a":1}`}, found)
}
