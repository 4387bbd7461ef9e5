// Package faults breaks everything around two replicas of the server, in random
// order and under load, and then looks for a submission that was lost or doubled.
package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

var (
	faultCount = flag.Int("faults", 14, "how many faults are injected")
	seedFlag   = flag.Uint64("seed", 0, "the seed of the campaign; 0: a new one")
	writers    = flag.Int("writers", 6, "players who submit at the same time")
	// serverPath is the server's program, built with the race detector.
	serverPath string
)

const (
	playersOfWriter = 25
	readers         = 2
	// saveEvery is after how many faults a snapshot of Redis is kept for later.
	saveEvery = 3
)

func TestMain(m *testing.M) {
	flag.Parse()
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy tells of every byte
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "faults-server-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	serverPath = filepath.Join(dir, "leaderboard-server")
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute) // the first time everything is compiled
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-race", "-o", serverPath, "../../leaderboard-server")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the server:", err)
		return 1
	}
	return m.Run()
}

func TestCampaign(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to repeat: make faults ARGS=\"-seed=%d -faults=%d\"", seed, *faultCount)
	w := newWorld(t, *writers*playersOfWriter)
	c := &crowd{world: w}
	playing, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i := range *writers {
		players := w.Players[i*playersOfWriter : (i+1)*playersOfWriter]
		group.Go(func() { c.play(playing, players, seed+uint64(i)) })
	}
	for i := range readers {
		group.Go(func() { c.read(playing, seed+uint64(i)) })
	}
	started := time.Now()
	injected, err := w.campaign(t.Context(), rand.New(rand.NewPCG(seed, 0)), *faultCount)
	stop()
	group.Wait()
	require.NoError(t, err)
	w.verify(c, injected, time.Since(started))
}

// campaign injects faults one after the other, now and then two at once, and waits
// after each until everything is whole again.
func (w *world) campaign(ctx context.Context, random *rand.Rand, count int) (injected map[string]int, err error) {
	injected = make(map[string]int)
	var breaking, ways []fault
	for _, f := range faults {
		if f.way {
			ways = append(ways, f)
		} else {
			breaking = append(breaking, f)
		}
	}
	for n := 0; n < count; {
		if n%saveEvery == 0 {
			if err := w.saveRedis(ctx); err != nil {
				return injected, err
			}
		}
		chosen := []fault{faults[random.IntN(len(faults))]}
		if random.IntN(4) == 0 {
			chosen = []fault{breaking[random.IntN(len(breaking))], ways[random.IntN(len(ways))]}
		}
		started := time.Now()
		if err := w.inject(ctx, chosen, random); err != nil {
			return injected, err
		}
		ended := time.Now()
		if err := w.await(ctx); err != nil {
			return injected, fmt.Errorf("after %q: %w", names(chosen), err)
		}
		n += len(chosen)
		for _, f := range chosen {
			injected[f.name]++
		}
		w.t.Logf("%s fault %d: %q for %.1fs, whole again after %.1fs", started.Format("15:04:05.000"), n, names(chosen), ended.Sub(started).Seconds(), time.Since(ended).Seconds())
	}
	return injected, nil
}

// inject runs the chosen faults at the same time.
func (w *world) inject(ctx context.Context, chosen []fault, random *rand.Rand) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	failed := make(chan error, len(chosen))
	for _, f := range chosen {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		go func() {
			err := f.run(ctx, w, own)
			if err != nil {
				err = fmt.Errorf("%s: %w", f.name, err)
			}
			failed <- err
		}()
	}
	var first error
	for range chosen {
		if err := <-failed; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func names(faults []fault) []string {
	list := make([]string, len(faults))
	for i, f := range faults {
		list[i] = f.name
	}
	return list
}

// verify checks everything once the players have gone.
func (w *world) verify(c *crowd, injected map[string]int, took time.Duration) {
	t := w.t
	ctx, cancel := context.WithTimeout(t.Context(), 2*recovery)
	defer cancel()
	require.NoError(t, w.await(ctx))
	conn := w.connect()
	lost, doubled, foreign, err := c.count(ctx, conn)
	require.NoError(t, err)
	acknowledged, faults := 0, 0
	for _, s := range c.submissions {
		if s.acknowledged {
			acknowledged++
		}
	}
	for _, n := range injected {
		faults += n
	}
	t.Logf("%d faults of %d kinds in %s: %d submissions, %d acknowledged, %d lost, %d doubled, %d reads, %d calls refused or unanswered, %d violations",
		faults, len(injected), took.Round(time.Second), len(c.submissions), acknowledged, lost, doubled, c.reads.Load(), c.refused.Load(), len(c.violations))
	require.Zero(t, lost, "acknowledged submissions that are not in the ledger")
	require.Zero(t, doubled, "submissions that are in the ledger twice")
	require.Zero(t, foreign, "events that nobody submitted")
	require.Empty(t, c.violations)
	require.Positive(t, acknowledged)
	require.NoError(t, w.sameStandings(ctx))
	for _, board := range []string{"global", "race", "golf", "mood", "coins"} {
		require.NoError(t, w.sameRanking(ctx, conn, board))
	}
	require.NoError(t, w.sameFootprint(ctx))
}
