package controllers

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

// seasonEnd is what the annotation asks for.
type seasonEnd struct {
	board, window string
	season        int32
	// at is zero for at once.
	at time.Time
}

// parseSeasonEnd reads the annotation's value; false: it is not one.
func parseSeasonEnd(value string) (end seasonEnd, ok bool) {
	place, at, timed := strings.Cut(value, "@")
	parts := strings.Split(place, "/")
	if len(parts) != 3 {
		return end, false
	}

	season, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil || season < 1 || parts[0] == "" || parts[1] == "" {
		return end, false
	}
	if timed {
		if end.at, err = time.Parse(time.RFC3339, at); err != nil {
			return end, false
		}
	}

	end.board, end.window, end.season = parts[0], parts[1], int32(season)
	return end, true
}

// endSeason does what the annotation asks for, once for each value. An operator that has
// just been started does it again, which changes nothing: the value names one season.
func (r *LeaderboardReconciler) endSeason(ctx context.Context, p *pass) error {
	value := p.lb.Annotations[v1alpha1.EndSeasonAnnotation]
	asked := value != "" && p.later == nil && !r.seasonsEnded.known(p.lb.UID, value)
	if !asked {
		return nil
	}

	tell := func(kind, reason, format string, args ...any) {
		r.seasonsEnded.mark(p.lb.UID, value, wholeLook)
		r.Recorder.Eventf(p.lb, nil, kind, reason, "EndSeason", format, args...)
	}
	end, ok := parseSeasonEnd(value)
	if !ok {
		tell(corev1.EventTypeWarning, "SeasonNotEnded", "The annotation %s is %q: it must be board/window/season, for example arena/weekly/41, with @ and a time after it for an end that is not at once, for example arena/weekly/41@2026-12-01T20:00:00Z",
			v1alpha1.EndSeasonAnnotation, value)
		return nil
	}

	ends, open, err := p.stores.postgres.EndSeason(ctx, p.tenant, p.claim, end.board, end.window, end.season, end.at)
	switch {
	case errors.Is(err, provision.ErrNextSeasonOver):
		tell(corev1.EventTypeWarning, "SeasonNotEnded", "Season %d of window %s of board %s cannot end at %s, as the next season would be over by then: choose an earlier time",
			end.season, end.window, end.board, end.at.UTC().Format(time.RFC3339))
	case err != nil:
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	case !open:
		tell(corev1.EventTypeWarning, "SeasonNotEnded", "Season %d of window %s of board %s is not open: GET /v1/boards/%s/seasons?window=%s of the game lists those that there are",
			end.season, end.window, end.board, end.board, end.window)
	default:
		p.seasonsMoved = true
		tell(corev1.EventTypeNormal, "SeasonEnds", "Season %d of window %s of board %s ends at %s", end.season, end.window, end.board, ends.UTC().Format(time.RFC3339))
	}
	return nil
}

const (
	// seasonsSettle is how long after a reset the status is read: a season is closed some
	// seconds after its end.
	seasonsSettle = 15 * time.Second
	// seasonsRetry is how soon it is looked again for seasons that servers have not
	// announced yet.
	seasonsRetry = 10 * time.Second
)

// readSeasons tells of the windows in the status. It asks PostgreSQL where something is to
// have changed since, or the whole game is looked at.
func (r *LeaderboardReconciler) readSeasons(ctx context.Context, p *pass) error {
	windows := 0
	for _, b := range p.lb.Spec.Boards {
		windows += len(b.Windows)
	}
	if p.lb.Spec.Global != nil {
		windows += len(p.lb.Spec.Global.Windows)
	}
	if windows == 0 {
		p.lb.Status.Seasons = nil
		return nil
	}
	left, known := untilSeason(p.lb.Status.Seasons, time.Now())
	if p.fresh && !p.seasonsMoved && len(p.lb.Status.Seasons) == windows && (!known || left > 0) {
		p.comeBackForSeasons()
		return nil
	}

	seasons, err := p.stores.postgres.Seasons(ctx, p.tenant)
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	p.lb.Status.Seasons = make([]v1alpha1.SeasonStatus, len(seasons))
	for i, s := range seasons {
		p.lb.Status.Seasons[i] = v1alpha1.SeasonStatus{Board: s.Board, Window: s.Window, Season: s.Number,
			OpensAt: statusTime(s.Opens), ClosesAt: statusTime(s.Closes), LastClosed: s.LastClosed, LastEntries: s.LastEntries}
	}

	if p.comeBackForSeasons(); len(seasons) != windows {
		p.seasonsNext = seasonsRetry
	}
	return nil
}

// comeBackForSeasons has a pass come after the next change that the status tells of.
func (p *pass) comeBackForSeasons() {
	if left, known := untilSeason(p.lb.Status.Seasons, time.Now()); known {
		p.seasonsNext = max(left, 0) + seasonsSettle
	}
}

// untilSeason is how long it is until a season of the status opens or ends; known: one
// will.
func untilSeason(seasons []v1alpha1.SeasonStatus, now time.Time) (left time.Duration, known bool) {
	for _, s := range seasons {
		at := s.ClosesAt
		if s.Season == 0 {
			at = s.OpensAt
		}
		if at == nil {
			continue
		}
		if d := at.Sub(now); !known || d < left {
			left, known = d, true
		}
	}
	return left, known
}

// statusTime is a time as the API server keeps it, in whole seconds.
func statusTime(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)}
}
