package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/names"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

const (
	// Pauses between attempts to start; they double.
	firstPause, longestPause = 200 * time.Millisecond, 5 * time.Second
	// startTimeout bounds one attempt to start, migrations apart.
	startTimeout = 15 * time.Second
	// maintenanceInterval is how often partitions are made and keys expired.
	maintenanceInterval = time.Hour
	// maintenanceRetry is how soon after a failure it is tried again.
	maintenanceRetry = time.Minute
	// rollUpSpread keeps replicas from rolling up recent events all at once.
	rollUpSpread = 10 * time.Second
)

// work starts the service as soon as the stores let it, and then runs everything
// that goes on beside requests, until ctx ends.
func (s *server) work(ctx context.Context) {
	if !s.start(ctx) {
		return
	}

	var group sync.WaitGroup
	defer group.Wait()

	group.Go(func() { s.catchUp.Run(ctx) })
	group.Go(func() { s.maintain(ctx) })
	group.Go(func() { s.rollUpRecent(ctx) })
	group.Go(func() { s.followAccounts(ctx) })
	group.Go(func() { s.sealAudit(ctx) })
	group.Go(func() { catchup.FollowSeasons(ctx, s.ledger, s.ranking.ForgetSeasons, s.log) })

	group.Go(func() { s.deliverer.Run(ctx) })

	for _, file := range []*watchedFile{s.keys, s.logins, s.connections, s.accounts, s.workloads, s.webhooks, s.boards} {
		if file.path != "" {
			group.Go(func() { file.watch(ctx) })
		}
	}
}

// start tries until the service is there; false: ctx ended first.
func (s *server) start(ctx context.Context) bool {
	begun := time.Now()
	lastReason := ""
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		service, err := s.newService(ctx)
		if err == nil {
			s.service.Store(service)
			s.probes.Started()
			s.log.InfoContext(ctx, "serving", "boards", len(service.Catalog().All()), "took", time.Since(begun).String())
			return true
		}
		if ctx.Err() != nil {
			return false
		}

		s.probes.Waiting(err)
		if reason := err.Error(); reason != lastReason {
			lastReason = reason
			s.log.WarnContext(ctx, "not serving yet, trying again", "error", err)
		}

		// Half of it by chance, so that replicas do not come all at once.
		if !sleep(ctx, pause/2+rand.N(pause/2)) {
			return false
		}
	}
}

// newService looks at everything that serving needs, once.
func (s *server) newService(ctx context.Context) (*leaderboard.Service, error) {
	if err := s.keys.check(ctx); err != nil {
		return nil, err
	}

	for _, file := range []*watchedFile{s.logins, s.connections, s.accounts, s.workloads, s.webhooks} {
		if file.path == "" {
			continue
		}
		if err := file.check(ctx); err != nil {
			return nil, err
		}
	}

	if s.boards.path == "" {
		if err := s.applyBoards(ctx, nil); err != nil {
			return nil, err
		}
	} else if err := s.boards.check(ctx); err != nil {
		return nil, err
	}

	if s.settings.Database.MigrateOnStart {
		if _, err := migrateDatabase(ctx, s.settings.Database.SessionURL()); err != nil {
			return nil, err
		}
	}

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	// Redis is not asked for: without it scores are accepted all the same.
	if err := s.ledger.Ping(ctx); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := s.ledger.CheckVersion(ctx); err != nil {
		return nil, err
	}

	return leaderboard.NewService(ctx, leaderboard.Dependencies{
		Passwords: s.passwords, Usernames: names.New(s.settings.Auth.ReservedNames), Players: s.ledger, Logins: s.ledger, Identities: s.ledger, Attributes: s.ledger, Directory: s.directory, Owners: s.directory,
		Committer: s.committer, Ranking: s.ranking, Reports: s.ledger, Histories: s.ledger, Times: s.ledger, Metadata: s.ledger, Boards: s.ledger, Results: s.ledger.Results(), Moderator: s.ledger, Reviews: s.ledger, Eraser: s.ledger, Shadows: s.bans,
	}, *s.configured.Load())
}

// maintain does what the ledger needs now and then.
func (s *server) maintain(ctx context.Context) {
	for {
		pause := maintenanceInterval
		if err := s.ledger.Maintain(ctx); err != nil && ctx.Err() == nil {
			pause = maintenanceRetry
			s.log.WarnContext(ctx, "maintenance of the ledger failed, trying again", "error", err)
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// rollUpRecent rolls the events of each quarter hour up once it is over.
func (s *server) rollUpRecent(ctx context.Context) {
	for {
		pause := postgres.UntilRollUp(time.Now())
		if err := s.ledger.RollUpRecent(ctx); err != nil && ctx.Err() == nil {
			pause = maintenanceRetry
			s.log.WarnContext(ctx, "rolling up recent scores failed, reports are slower; trying again", "error", err)
		}
		if !sleep(ctx, pause+rand.N(rollUpSpread)) {
			return
		}
	}
}

// sleep returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
