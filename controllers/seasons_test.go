package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	ledger "github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

// told waits for an event of the game with this reason whose note has the text.
func told(t *testing.T, lb *v1alpha1.Leaderboard, reason, text string) {
	t.Helper()
	var seen []string
	require.Eventually(t, func() bool {
		list := &eventsv1.EventList{}
		require.NoError(t, cluster.List(t.Context(), list, client.InNamespace(lb.Namespace)))
		seen = seen[:0]
		for _, e := range list.Items {
			seen = append(seen, e.Reason+": "+e.Note)
			if e.Reason == reason && strings.Contains(e.Note, text) {
				return true
			}
		}
		return false
	}, patience, poll, "no event %s with %q", reason, text)
}

// The annotation ends one season, once, and says what became of it.
func TestASeasonIsEndedByAnAnnotation(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	patch(t, lb, func() {
		lb.Spec.Boards[0].Windows = []v1alpha1.Window{{Name: "weekly", Schedule: "weekly", TimeZone: "UTC", Keep: 3}}
	})
	becomes(t, lb, allReady)

	// What a server does, which does not run here.
	secret := credentialsOf(t, lb)
	server, err := ledger.Open(t.Context(), ledger.Options{URL: string(secret.Data[workload.DatabaseURLKey])})
	require.NoError(t, err)
	defer server.Close()
	boards, err := leaderboard.NewBoards(leaderboard.Board{Name: "arena", Order: leaderboard.Descending, Scoring: leaderboard.Best, Shards: 1, Ranks: leaderboard.Ordinal,
		Windows: []leaderboard.Window{{Name: "weekly", Schedule: "weekly", TimeZone: "UTC", Keep: 3}}})
	require.NoError(t, err)
	_, err = server.SyncBoards(t.Context(), boards)
	require.NoError(t, err)
	season := func(ordinal int32) leaderboard.Season {
		catalog, err := server.AnnounceSeasons(t.Context())
		require.NoError(t, err)
		board, err := catalog.Lookup("arena")
		require.NoError(t, err)
		s, ok, err := server.Results().Season(t.Context(), board, "weekly", ordinal)
		require.NoError(t, err)
		require.True(t, ok)
		return s
	}
	ask := func(value string) {
		patch(t, lb, func() { metav1.SetMetaDataAnnotation(&lb.ObjectMeta, v1alpha1.EndSeasonAnnotation, value) })
	}

	ask("arena/weekly")
	told(t, lb, "SeasonNotEnded", "for example arena/weekly/41")
	ask("arena/weekly/9")
	told(t, lb, "SeasonNotEnded", "Season 9 of window weekly of board arena is not open")

	require.Eventually(t, func() bool { s := season(1); return time.Now().After(s.Opens.Add(time.Second)) }, patience, poll)
	eventually(t, lb, func() bool {
		return len(lb.Status.Seasons) == 1 && lb.Status.Seasons[0].Season == 1 && lb.Status.Seasons[0].ClosesAt.Equal(&metav1.Time{Time: season(1).Closes})
	})
	require.Equal(t, []string{"arena", "weekly"}, []string{lb.Status.Seasons[0].Board, lb.Status.Seasons[0].Window})
	was := season(1)
	next := season(2)
	later := was.Closes.Add(time.Hour).UTC()
	ask("arena/weekly/1@" + later.Format(time.RFC3339))
	told(t, lb, "SeasonEnds", later.Format(time.RFC3339))
	require.Equal(t, []time.Time{later, later}, []time.Time{season(1).Closes, season(2).Opens})
	ask("arena/weekly/1@" + next.Closes.UTC().Format(time.RFC3339))
	told(t, lb, "SeasonNotEnded", "choose an earlier time")
	require.Equal(t, later, season(1).Closes)

	ask("arena/weekly/1@2020-01-01T00:00:00Z") // at once
	require.Eventually(t, func() bool { return season(1).Closes.Before(later) }, patience, poll)
	require.WithinDuration(t, time.Now(), season(1).Closes, time.Minute)
	require.Equal(t, later, season(2).Closes, "after an early end the next one ends when this one was to")
	becomes(t, lb, allReady)

	eventually(t, lb, func() bool {
		return lb.Status.Seasons[0].Season == 2 && lb.Status.Seasons[0].ClosesAt.Equal(&metav1.Time{Time: later})
	})

	// Another pass, and another operator, change nothing of the season after it.
	require.Eventually(t, func() bool { return time.Now().After(season(2).Opens) }, patience, poll)
	patch(t, lb, func() { metav1.SetMetaDataAnnotation(&lb.ObjectMeta, "touched", "yes") })
	becomes(t, lb, allReady)
	require.Equal(t, later, season(2).Closes)
}

// What the API server cannot know to be wrong is told by the operator, and what runs
// goes on.
func TestASpecThatTheServerWouldRefuse(t *testing.T) {
	t.Parallel()
	lb := readyGame(t, newClass(t, startManager(t), postgres, redis))
	for zone, message := range map[string]string{"Europe/Atlantis": "timeZone of window daily of board arena must be an IANA name", "Europe/berlin": "did you mean Europe/Berlin?"} {
		patch(t, lb, func() {
			lb.Spec.Boards[0].Windows = []v1alpha1.Window{{Name: "daily", Schedule: "daily", TimeZone: zone, Keep: 1}}
		})
		becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False InvalidSpec", v1alpha1.ConditionStalled: "True InvalidSpec"})
		require.Contains(t, describe(lb), message)
	}

	patch(t, lb, func() {
		lb.Spec.Boards[0].Windows = []v1alpha1.Window{{Name: "leap", Schedule: "0 0 31 2 *", TimeZone: "UTC", Keep: 1}}
	})
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False InvalidSpec"})
	patch(t, lb, func() { lb.Spec.Boards[0].Windows[0].Schedule = "0 0 29 2 *" })
	becomes(t, lb, allReady)

	schema := func(text string) *v1alpha1.BoardMetadata {
		return &v1alpha1.BoardMetadata{Schema: &runtime.RawExtension{Raw: []byte(text)}}
	}
	for text, message := range map[string]string{
		`{"properties":{"car":{"$ref":"https://example.com/car.json"}}}`:   "metadata.schema of board arena is refused",
		`{"properties":{"car":{"type":["string","car"]}}}`:                 "metadata.schema.properties.car.type",
		strings.Repeat(`{"not":`, 1000) + `{}` + strings.Repeat("}", 1000): "is nested too deep",
	} {
		patch(t, lb, func() { lb.Spec.Boards[0].Metadata = schema(text) })
		becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False InvalidSpec"})
		require.Contains(t, describe(lb), message)
	}
	patch(t, lb, func() { lb.Spec.Boards[0].Metadata = schema(`{"properties":{"car":{"enum":["gt",null]}}}`) })
	becomes(t, lb, allReady)
}

// A pass comes back for what the status says will change, and not where nothing will.
func TestPassesComeBackForSeasons(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: time.Now().Add(d)} }
	for name, test := range map[string]struct {
		seasons []v1alpha1.SeasonStatus
		want    time.Duration
	}{
		"a season that is open": {[]v1alpha1.SeasonStatus{{Season: 1, OpensAt: at(-time.Hour), ClosesAt: at(time.Hour)}}, time.Hour + seasonsSettle},
		"the first of several":  {[]v1alpha1.SeasonStatus{{Season: 1, ClosesAt: at(2 * time.Hour)}, {OpensAt: at(time.Hour), ClosesAt: at(3 * time.Hour)}}, time.Hour + seasonsSettle},
		"one that is over":      {[]v1alpha1.SeasonStatus{{Season: 1, ClosesAt: at(-time.Hour)}}, seasonsSettle},
		"a window that is over": {[]v1alpha1.SeasonStatus{{LastClosed: 1}}, 0},
		"none":                  {nil, 0},
	} {
		p := newPass(&v1alpha1.Leaderboard{Status: v1alpha1.LeaderboardStatus{Seasons: test.seasons}}, "")
		p.comeBackForSeasons()
		require.InDelta(t, test.want, p.seasonsNext, float64(time.Minute), name)
		require.Equal(t, test.want == 0, p.seasonsNext == 0, name)
	}
}
