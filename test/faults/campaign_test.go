// Package faults breaks everything around two replicas of the server, in random
// order and under load, and then looks for a submission that was lost or doubled.
package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	// staleness is the bound of docs/architecture.md, 1 s: so long after everything is
	// whole again a rank reflects every submission that was acknowledged that long
	// ago, also those whose receipts said that the ranking was delayed. By default
	// there is room for other tests that take the processors meanwhile.
	staleness = flag.Duration("staleness", 4*time.Second, "how old a rank may be while nothing is broken")
	// serverPath is the server's program, built with the race detector: the one that
	// RACE_SERVER_BIN names, else one that is built first.
	serverPath string
)

const (
	playersOfWriter = 25
	readers         = 2
	// checkEvery is after how many faults everything is checked.
	checkEvery = 40
	// saveEvery is after how many faults a snapshot of Redis is kept for later.
	saveEvery = 3
)

func TestMain(m *testing.M) {
	flag.Parse()
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy tells of every byte
	if serverPath = os.Getenv("RACE_SERVER_BIN"); serverPath != "" {
		os.Exit(m.Run())
	}

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
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // the first time everything is compiled
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
	w := newWorld(t, (*writers+1)*playersOfWriter+stormPlayers)
	c := newCrowd(w)
	w.crowd = c
	playing, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup

	for i := range *writers {
		players := w.Players[i*playersOfWriter : (i+1)*playersOfWriter]
		group.Go(func() { c.play(playing, players, seed+uint64(i)) })
	}

	group.Go(func() {
		c.submitBatches(playing, w.Players[*writers*playersOfWriter:(*writers+1)*playersOfWriter], seed)
	})
	group.Go(func() { c.review(playing, w.Players[:playersOfWriter], seed) })
	for i := range readers {
		group.Go(func() { c.read(playing, seed+uint64(i)) })
	}
	defer group.Wait()
	defer stop()

	tally := &tally{injected: make(map[string]int), started: time.Now()}
	err := w.campaign(t.Context(), c, rand.New(rand.NewPCG(seed, 0)), tally)
	t.Log(c.summary(tally))
	require.NoError(t, err)
}

// tally is what a campaign counts.
type tally struct {
	started       time.Time
	faults        int
	injected      map[string]int
	longest       time.Duration // that it took until all was whole again
	lost, doubled int
	checks        int // of everything
}

// campaign injects faults one after the other, now and then two at once, and waits
// after each until everything is whole again. Every checkEvery faults, and in the
// end, everybody pauses and all is checked.
func (w *world) campaign(ctx context.Context, c *crowd, random *rand.Rand, tally *tally) error {
	for tally.faults < *faultCount {
		if tally.faults%saveEvery == 0 {
			if err := w.saveRedis(ctx); err != nil {
				return err
			}
		}

		checked := tally.faults / checkEvery
		if err := w.disturb(ctx, c, choose(random), random, tally); err != nil {
			return err
		}

		// For the bound of staleness to be seen, it has to be whole for longer at times.
		if random.IntN(3) == 0 {
			pause(ctx, time.Duration(random.IntN(2500))*time.Millisecond)
		}

		if tally.faults/checkEvery > checked && tally.faults < *faultCount {
			if err := w.verify(ctx, c, tally); err != nil {
				return err
			}
			w.t.Log(c.summary(tally))
		}
	}
	return w.verify(ctx, c, tally)
}

// choose picks a fault or two that break different things.
func choose(random *rand.Rand) []fault {
	kinds := slices.Concat(faults, storms)
	chosen := []fault{kinds[random.IntN(len(kinds))]}
	if random.IntN(3) == 0 {
		if second := kinds[random.IntN(len(kinds))]; second.target&chosen[0].target == 0 {
			chosen = append(chosen, second)
		}
	}
	return chosen
}

// disturb injects the chosen faults and waits until everything is whole again.
func (w *world) disturb(ctx context.Context, c *crowd, chosen []fault, random *rand.Rand, tally *tally) error {
	c.weather.breaks(slices.ContainsFunc(chosen, func(f fault) bool { return f.rollback }))
	started := time.Now()
	if err := w.inject(ctx, chosen, random); err != nil {
		return err
	}

	ended := time.Now()
	if err := w.await(ctx); err != nil {
		return fmt.Errorf("after %q: %w", names(chosen), err)
	}

	c.weather.isWhole()
	tally.faults += len(chosen)
	for _, f := range chosen {
		tally.injected[f.name]++
	}

	tally.longest = max(tally.longest, time.Since(ended))
	w.t.Logf("%s fault %d: %q for %.1fs, whole again after %.1fs", clock(started), tally.faults, names(chosen), ended.Sub(started).Seconds(), time.Since(ended).Seconds())
	return nil
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

	var all error
	for range chosen {
		all = errors.Join(all, <-failed)
	}

	return all
}

func names(faults []fault) []string {
	list := make([]string, len(faults))
	for i, f := range faults {
		list[i] = f.name
	}
	return list
}
