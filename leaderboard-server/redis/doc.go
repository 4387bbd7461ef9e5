// Package redis is the ranking of leaderboard-server: the projection of the
// ledger's standings that answers for ranks.
//
// A board's season is spread over K shards. The keys of a shard share a hash tag,
// so that one script reaches all of them on a Redis Cluster:
//
//	<prefix>{<board>:<season>:<shard>}:e       sorted set: the entries in rank order
//	<prefix>{<board>:<season>:<shard>}:p:<n>   hash: what players n*128..n*128+127 of the shard have
//	<prefix>{<board>:<season>:<shard>}:m       hash: the shard's state
//
// Redis orders equal scores by the bytes of the member, so the member begins with
// the event that reached the score, big-endian: the entry that was there first
// ranks first. The hashes stay below hash-max-listpack-entries (128 by default),
// where Redis keeps them compact: an entry costs about 125 bytes all in all.
//
// Entries are replaced by a higher version only, so that applying standings twice
// or out of order does no harm. [CatchUp] repairs what the appliers of single
// batches left out, and rebuilds what Redis lost.
//
// Redis must not evict keys: maxmemory-policy noeviction.
package redis
