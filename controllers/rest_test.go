package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/test/effects"
)

// Games at rest cost the stores no statement and no command of their own, and what is
// changed in a store is put right all the same.
func TestAtRest(t *testing.T) {
	t.Parallel()
	games := 12
	if campaignWhole {
		games = 200
	}
	sequence := &effects.Sequence{}
	controller := startManager(t, func(o *ManagerOptions) { o.MaxConcurrentReconciles = 16 })
	class, proxies := newProxiedClass(t, controller, sequence)
	pg, rdb := proxies[0], proxies[1]
	ns := namespace(t)
	playDeployments(t, ns)
	var all []*v1alpha1.Leaderboard
	for i := range games {
		lb := newLeaderboard(ns, class)
		lb.Name = fmt.Sprintf("race-%d", i)
		all = append(all, create(t, lb))
	}
	for _, lb := range all {
		becomes(t, lb, allReady)
	}

	// In two resyncs the class costs as much, however many games it has: its check and the
	// watches of its stores included, which look every 2 s at Redis. Until all rest, it takes
	// a resync or two.
	const resync, mostStatements, mostCommands = 2 * time.Second, 12, 20
	writes, statements, commands := 0, int64(0), int64(0)
	require.Eventually(t, func() bool {
		writes, statements, commands = len(sequence.Names()), pg.Messages(), rdb.Messages()
		select {
		case <-time.After(2 * resync):
		case <-t.Context().Done():
		}
		writes, statements, commands = len(sequence.Names())-writes, pg.Messages()-statements, rdb.Messages()-commands
		return writes == 0 && statements <= mostStatements && commands <= mostCommands
	}, patience, poll)
	t.Logf("%d games in 2 resyncs: %d writes, %d statements, %d commands, the checks of the class and the watches of its stores included",
		games, writes, statements, commands)

	login := tenant.For("test", ns, all[3].Name).LoginRole(tenant.SlotA)
	require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, "ALTER ROLE "+login+" SET work_mem = '1GB'"))
	require.Eventually(t, func() bool {
		return query[bool](t, postgres, class, "SELECT NOT 'work_mem=1GB' = ANY (rolconfig) FROM pg_roles WHERE rolname = $1", login)
	}, patience, poll)
	admin := redis.Client()
	defer admin.Close()
	user := tenant.For("test", ns, all[5].Name)
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", user.RedisUser(), "allkeys").Err())
	require.Eventually(t, func() bool {
		list, err := admin.Do(t.Context(), "ACL", "LIST").StringSlice()
		require.NoError(t, err)
		return len(list) > 0 && !allKeys(list, user.RedisUser())
	}, patience, poll)
}

func allKeys(list []string, user string) bool {
	for _, line := range list {
		var name string
		if _, err := fmt.Sscanf(line, "user %s", &name); err == nil && name == user {
			return slices.Contains(strings.Fields(line), "~*")
		}
	}
	return true
}

// A game rests by a census that was taken after it was found right, and by no other.
func TestResting(t *testing.T) {
	r := newResting()
	at := time.Now()
	uid := types.UID("one")
	r.note(uid, "key", "print", at, at.Add(time.Hour))
	for name, test := range map[string]struct {
		uid              types.UID
		key, fingerprint string
		taken, now       time.Duration
		rests            bool
	}{
		"as it was":                    {uid, "key", "print", time.Second, time.Minute, true},
		"another game":                 {"two", "key", "print", time.Second, time.Minute, false},
		"other credentials":            {uid, "other", "print", time.Second, time.Minute, false},
		"changed":                      {uid, "key", "other", time.Second, time.Minute, false},
		"a census of before":           {uid, "key", "print", -time.Second, time.Minute, false},
		"after the time to look again": {uid, "key", "print", time.Second, time.Hour, false},
	} {
		require.Equal(t, test.rests, r.holds(test.uid, test.key, test.fingerprint, at.Add(test.taken), at.Add(test.now)), name)
	}

	r.note(uid, "key", "", at, at.Add(time.Hour))
	require.False(t, r.holds(uid, "key", "", at.Add(time.Second), at.Add(time.Minute)), "a store that did not answer")
}
