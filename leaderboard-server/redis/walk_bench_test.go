package redis

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const benchPlayers, benchBatch = 100_000, 64

// benchWalked makes a board of 100 000 players all of whose submissions change it.
func benchWalked(b *testing.B, shards int) (*Ranking, leaderboard.LiveBoard) {
	b.Helper()
	return benchBoard(b, latestBoard(shards))
}

// benchBoard makes a board of 100 000 players.
func benchBoard(b *testing.B, board leaderboard.LiveBoard) (*Ranking, leaderboard.LiveBoard) {
	b.Helper()
	shards := board.Shards
	catalog, err := leaderboard.NewCatalog([]leaderboard.LiveBoard{board})
	require.NoError(b, err)
	client := server.Client()
	b.Cleanup(func() { _ = client.Close() })
	require.NoError(b, client.FlushAll(b.Context()).Err())
	r, err := New(Options{Client: client, Prefix: "lb:bench:", Boards: boards{catalog}, Timeout: 20 * time.Second})
	require.NoError(b, err)

	for _, s := range shardsOf(board) {
		session := begin(b, r, s)
		var chunk []leaderboard.Standing

		for player := int64(1); player <= benchPlayers; player++ {
			if leaderboard.ShardIndex(player, shards) == s.Index {
				chunk = append(chunk, entry(player, rand.Int64N(1_000_000), player, 1))
			}
			if len(chunk) == wipeChunk || player == benchPlayers {
				require.NoError(b, session.Apply(b.Context(), chunk))
				chunk = chunk[:0]
			}
		}

		require.NoError(b, session.Finish(b.Context(), watermark(100), nil))
	}

	return r, board
}

// benchApply changes the entries of players first, first+1 and so on, within span.
func benchApply(b *testing.B, r *Ranking, event *int64, span int64) {
	standings := make([]leaderboard.Standing, benchBatch)
	for b.Loop() {
		for i := range standings {
			*event++
			standings[i] = entry(1+*event%span, rand.Int64N(1_000_000), benchPlayers+*event, 1)
		}
		p := projection("ledger", standings...)
		if _, err := r.Apply(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}

	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBatch, "ns/standing")
}

// What a snapshot costs an application of a batch: without one, where every entry
// changes for the first time since, and where all have been kept already.
func BenchmarkApplyBesideAWalk(b *testing.B) {
	r, board := benchWalked(b, 1)
	r.snapshotSharing = 0
	event := int64(0)
	b.Run("no-snapshot", func(b *testing.B) { benchApply(b, r, &event, benchPlayers) })
	b.Run("first-change", func(b *testing.B) {
		_, err := r.BeginWalk(b.Context(), board)
		require.NoError(b, err)
		benchApply(b, r, &event, benchPlayers)
	})

	b.Run("later-change", func(b *testing.B) { benchApply(b, r, &event, 10*benchBatch) })
}

// What a walk through all entries costs, by parts of 1000, where some of the
// entries have changed since it began.
func BenchmarkWalk(b *testing.B) {
	for _, shards := range []int{1, 16} {
		for _, changed := range []int64{0, benchPlayers / 2} {
			b.Run(fmt.Sprintf("shards=%d/changed=%d", shards, changed), func(b *testing.B) {
				r, board := benchWalked(b, shards)
				walk, err := r.BeginWalk(b.Context(), board)
				require.NoError(b, err)

				for player := int64(1); player <= changed; player++ {
					_, err := r.Apply(b.Context(), projection("ledger", entry(player, rand.Int64N(1_000_000), benchPlayers+player, 1)))
					require.NoError(b, err)
				}

				parts := 0
				for b.Loop() {
					entries := 0
					for next := &walk; next != nil; parts++ {
						part, err := r.Walk(b.Context(), board, *next, leaderboard.MaxPageSize)
						require.NoError(b, err)
						entries, next = entries+len(part.Entries), part.Next
					}
					require.Equal(b, benchPlayers, entries)
				}

				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(parts), "us/part")
			})
		}
	}
}
