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
// A walk through a whole board reads a snapshot, which is made by copying on write:
// while a shard's state names snapshots, the apply script keeps an entry in the
// newest of them before it changes for the first time since. An older snapshot is
// what it kept itself, then what the newer ones kept, then the entries as they are;
// so a change costs one copy however many snapshots there are, and a snapshot is
// never there longer than a newer one. Names are of chance:
//
//	<prefix>{<board>:<season>:<shard>}:s:<name>  string: the snapshot is alive; how many changes it may keep
//	<prefix>{<board>:<season>:<shard>}:t:<name>  hash: the players whose entry has changed since, and what the snapshot is (i, n, r)
//	<prefix>{<board>:<season>:<shard>}:o:<name>  sorted set: their entries as they were, and a last one that is none
//
// All three expire. The scripts find them by the state's list, so they are not
// among a call's KEYS; they are in the same slot.
//
// Redis must not evict keys: maxmemory-policy noeviction.
package redis
