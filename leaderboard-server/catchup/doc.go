// Package catchup folds the log: it keeps every ranking equal to the ledger,
// whatever happens to Redis, to the servers or to the order in which transactions
// end, and keeps the standings as a checkpoint of the log. Every replica runs one
// [CatchUp]; one of them leads.
//
//	          TryLead                    Redis reached by none of awayTicks ticks,
//	following ───────► leading ─┐        or the lead was lost
//	    ▲                │ ▲    │ tick: snapshot, states, log ──► shards, standings
//	    └────────────────┘ └────┘
//
// A shard of a ranking, as the leader sees it:
//
//	whole ── identity, watermark or count are not what the leader left ──► repairing
//	  ▲                                                                        │
//	  └────────────────── its session has finished ────────────────────────────┘
//
// # The watermark
//
// A shard's watermark is a transaction number below which every event is in the
// shard. It never passes
//
//   - the xmin of a snapshot that was taken before the log was read, below which every
//     transaction has ended, so that none that commits late is missed;
//   - the highest transaction of an event that was read, plus one. A crash of
//     PostgreSQL hands out again the numbers of transactions whose WAL was never
//     flushed, but none at or below one whose commit was seen.
//
// It lives in Redis beside the data, so a Redis that lost or put back data has lost or
// put back its watermark with them. The checkpoint of the standings is a snapshot's
// xmin: it is committed with the standings, by a transaction with a higher number.
//
// # What batches have applied
//
// A shard remembers the transactions whose batches it has, in the order in which they
// were applied; the function that applies a batch writes both. A tick skips them, and its
// session ends only if the last one that it went by is where it was: then Redis has
// not been put back since, and all of them are in the shard. A repair goes by the log
// alone. Where more than some thousand wait to be forgotten no more are remembered,
// and their events are joined again, which changes nothing.
//
// # What is done about what
//
//	a server ended between commit and apply   the next tick applies the event
//	Redis was emptied                         no watermark: rebuilt beside what comes in
//	Redis was put back to an older state      an older watermark: read again from there
//	Redis lost a part of a shard              the count is wrong: discarded and rebuilt
//	another ledger (failover, restore)        another identity: discarded and rebuilt
//	another number of shards                  another identity: discarded and rebuilt
//	PostgreSQL was put back                   the watermark is ahead: discarded and rebuilt
//	a leader ended during a refold            the next one goes on with the next part, or with
//	                                          a ranking made of the standings that there are
//	a dump was restored                       the checkpoint is of another history: the
//	                                          log behind it is folded, then it is moved
//
// # Seasons
//
// Which seasons of windows an event counts in is told by its time and the catalog, which the
// leader reads again whenever the version in its snapshot is another, so before it reads
// events that the change concerns. Every process announces seasons ([FollowSeasons]); the
// leader makes the rankings of those that will open soon, closes those that are over, see
// seasons, and deletes their rankings.
//
// # Another order, scoring or columns
//
// A board that is to get another one ([leaderboard.Refold]) gets a second ranking of all time
// and of each season that is not closed. They are made while ticks go on and are none of the
// shards that those look after: their watermark is below which transaction every event is in
// their standings, and one is begun again where Redis has lost it. When the board is switched,
// the leader goes on with them as with any other. See refolds, and the package postgres for
// what the ledger does.
//
// # Who writes what
//
// Batches join standings at any time. A shard's watermark, session and identity are
// written by the leader alone, by its tick for shards that are whole and by the
// goroutine of a repair for those that are not; a shard's progress is read and written
// under term.mu, or by the one of the two whose turn it is.
package catchup
