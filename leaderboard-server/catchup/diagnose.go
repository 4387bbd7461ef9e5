package catchup

import (
	"strconv"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// repair is a shard that is not where the leader left it.
type repair struct {
	shard leaderboard.Shard
	*progress
	// ledger is the identity that the repair was decided by, watermark what Redis
	// had then.
	ledger, watermark string
	// from is where the log is read from; 0: the shard is rebuilt from the standings.
	from uint64
	// discard says that what is there is thrown away first.
	discard bool
}

// diagnose decides what a shard needs; nil: nothing but to go on.
func diagnose(s leaderboard.Shard, is leaderboard.ShardState, p *progress, snapshot leaderboard.Snapshot) *repair {
	same := is.Identity == s.Identity(snapshot.Identity)
	if same && is.Whole && is.Watermark != "" && is.Watermark == p.stored && p.upTo <= snapshot.Xmin {
		return nil
	}

	r := &repair{shard: s, progress: p, ledger: snapshot.Identity, watermark: is.Watermark}
	watermark, err := strconv.ParseUint(is.Watermark, 10, 64)
	switch {
	case !same:
		r.discard = is.Identity != "" // of another ledger, or of another number of shards
	case !is.Whole:
		r.discard = true // Redis lost a part: nobody knows which
	case is.Watermark == "":
		// Redis was emptied: what batches have applied since is right, and stays.
	case err != nil || watermark > snapshot.Xmin || is.Watermark == p.stored:
		r.discard = true // PostgreSQL is behind what it said before: it was put back
	default:
		r.from = watermark
	}

	return r
}
