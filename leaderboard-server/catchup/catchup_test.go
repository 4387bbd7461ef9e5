package catchup

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func TestDiagnose(t *testing.T) {
	s := leaderboard.Shard{Of: 1}
	at := formatXid
	snapshot := leaderboard.Snapshot{Identity: "L", Xmin: 100, Xmax: 110}
	state := func(identity, watermark string) leaderboard.ShardState {
		return leaderboard.ShardState{Identity: identity, Watermark: watermark, Whole: true}
	}
	left := progress{stored: at(90), upTo: 95}

	for name, c := range map[string]struct {
		is      leaderboard.ShardState
		p       progress
		whole   bool
		from    uint64
		discard bool
	}{
		"as it was left":                       {state("L/1", at(90)), left, true, 0, false},
		"a new leader":                         {state("L/1", at(90)), progress{}, false, 90, false},
		"Redis was put back":                   {state("L/1", at(80)), left, false, 80, false},
		"Redis was emptied":                    {state("", ""), left, false, 0, false},
		"emptied, and applied to":              {state("L/1", ""), left, false, 0, false},
		"Redis lost a part":                    {leaderboard.ShardState{Identity: "L/1", Watermark: at(90)}, left, false, 0, true},
		"another ledger":                       {state("M/1", at(90)), progress{}, false, 0, true},
		"another number of shards":             {state("L/2", at(90)), progress{}, false, 0, true},
		"being thrown away":                    {state("~L/1", ""), progress{}, false, 0, true},
		"PostgreSQL was put back":              {state("L/1", at(101)), progress{}, false, 0, true},
		"PostgreSQL was put back since":        {state("L/1", at(90)), progress{stored: at(90), upTo: 105}, false, 0, true},
		"numbers compare beyond 32 bits":       {state("L/1", at(1<<33)), progress{}, false, 0, true},
		"a watermark that is none of a ledger": {state("L/1", "x"), progress{}, false, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := diagnose(s, c.is, &c.p, snapshot)
			require.Equal(t, c.whole, r == nil)
			if r != nil {
				require.Equal(t, []any{c.from, c.discard}, []any{r.from, r.discard})
			}
		})
	}
}

// A shard that was repaired since it was asked for its state is left alone: by what it said
// then it would be thrown away.
func TestAnOldStateIsNotExamined(t *testing.T) {
	shards, asked := []leaderboard.Shard{{Of: 1}}, time.Now()
	before := []leaderboard.ShardState{{Identity: "L/2", Watermark: formatXid(90), Whole: true}}
	snapshot := leaderboard.Snapshot{Identity: "L", Xmin: 100, Xmax: 110}
	tm := newTerm(nil)
	p := &progress{}
	tm.shards[shards[0].ShardID] = p

	p.repaired = asked.Add(time.Millisecond)
	whole, repairs, err := tm.examine(shards, before, asked, snapshot)
	require.NoError(t, err)
	require.Empty(t, whole)
	require.Empty(t, repairs)
	require.False(t, p.repairing)

	_, repairs, err = tm.examine(shards, before, asked.Add(time.Second), snapshot)
	require.NoError(t, err)
	require.Len(t, repairs, 1, "asked again, it says the same")
	require.True(t, p.repairing)
}

// The log is left alone only when nothing can have been appended that was not read.
func TestQuiet(t *testing.T) {
	var q quiet
	now := time.Now()
	from := uint64(1000)
	tick := func(after time.Duration, last int64, xmin, xmax uint64) bool {
		now = now.Add(after)
		read := q.observe(leaderboard.Snapshot{LastEvent: last, Xmin: xmin, Xmax: xmax}, from, now)
		if read {
			q.read(xmin)
		}
		return read
	}

	require.True(t, tick(0, 5, 100, 110))
	require.True(t, tick(time.Second, 5, 110, 110), "a transaction that has a number may still run")
	require.True(t, tick(settleTime, 5, 110, 120), "what ran until now may have a number")
	require.True(t, tick(time.Second, 5, 115, 125))
	require.True(t, tick(time.Second, 5, 120, 125), "all of it has ended, and is read now")
	require.False(t, tick(time.Second, 5, 125, 125))
	from = 119
	require.True(t, tick(time.Second, 5, 125, 125), "a shard that could not be reached is back")
	require.True(t, tick(time.Second, 6, 125, 126), "something new")
	require.True(t, tick(time.Second, 6, 126, 126))
}
