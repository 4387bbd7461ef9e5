// Package redis is the ranking of leaderboard-server: the fold of the log that answers
// for ranks.
//
// A board's season is spread over K shards. The keys of a shard share a hash tag,
// so that one function reaches all of them on a Redis Cluster. The 2 is the storage
// format, 3 where the board has columns:
//
//	<prefix>{<board>:<season>:<shard>}:2e       sorted set: the entries in rank order
//	<prefix>{<board>:<season>:<shard>}:2p:<n>   hash: what players n*128..n*128+127 of the shard have
//	<prefix>{<board>:<season>:<shard>}:2m       hash: the shard's state
//	<prefix>{<board>:<season>:<shard>}:2a       string: the transactions whose batches were applied, in that order,
//	                                            16 hexadecimal digits each; apply appends, finish and begin delete
//	<prefix>{<board>:<season>:<shard>}:2d       sorted set, where ranks are dense: what the entries have, once each
//
// The segments of the season are in its shards, so that one call joins an event to all that it
// counts in. <v> is the number of a segment's value:
//
//	<prefix>{<board>:<season>:<shard>}:2e/<v>   sorted set: the entries of the segment, as 2e
//	<prefix>{<board>:<season>:<shard>}:2q:<n>   hash: what players n*32..n*32+31 of the shard have in segments; a field
//	                                            ends with /<v>
//	<prefix>{<board>:<season>:<shard>}:2d/<v>   sorted set, as 2d
//
// Redis orders equal scores by the bytes of the member, so the member begins with
// the event that reached the score, big-endian: the entry that was there first
// ranks first. The hashes stay below hash-max-listpack-entries (128 by default),
// where Redis keeps them compact: an entry costs about 125 bytes all in all.
//
//	member          key, player (5 bytes), then the origin's number (varint) where it is another board
//	a player's      key, then the origin as above; where the scoring is ordered: key, then the
//	field           last event (6 bytes) where it is another one
//	key             the tie (6 bytes); of a board with columns those as they are ranked, then the
//	                tie, and these and the player have 1 to 8 bytes whose order is that of the
//	                numbers (codec.go)
//
// The state's fields:
//
//	field  written by                    is
//	id     apply (the first), begin,     the identity of the ledger and the number of shards; with a ~
//	       wipe                          before it while the shard is thrown away
//	w      finish; begin deletes it      the watermark
//	g      wipe                          the generation: watermarks of two are not compared
//	s, n   begin, apply; finish deletes  the session of catch-up, and how many chunks it has applied
//	b      apply                         the highest bucket
//	c      apply                         how many entries there are: another number means that some were lost
//	d      apply                         where ranks are dense, how many different scores and columns there are
//	x      snapshot, apply               the names of the snapshots, oldest first
//	c/<v>, d/<v>, x/<v>                  of a segment, as those of the shard; absent where there is none
//	q      moderate                      the last moderation that the shard has followed
//	u      moderate                      the token of who replaces entries for moderations
//	f      moderate                      1 where a player was moderated
//
// Where players were moderated, the shard has
//
//	<prefix>{<board>:<season>:<shard>}:2f       hash: up to which event what a player, as in members, has reached is not
//	                                            joined any more, some 40 bytes each; apply finds it by the state's f
//
// The function apply joins standings, as the domain does, so that applying them twice
// or out of order does no harm. Package catchup repairs what the appliers of single
// batches left out, and rebuilds what Redis lost.
//
// A walk through a whole board reads a snapshot, which is made by copying on write:
// while a shard's state names snapshots, the function apply keeps an entry in the
// newest of them before it changes for the first time since. An older snapshot is
// what it kept itself, then what the newer ones kept, then the entries as they are;
// so a change costs one copy however many snapshots there are, and a snapshot is
// never there longer than a newer one. Names are of chance:
//
//	<prefix>{<board>:<season>:<shard>}:2s:<name>  string: the snapshot is alive; how many changes it may keep
//	<prefix>{<board>:<season>:<shard>}:2t:<name>  hash: the players whose entry has changed since, and what the snapshot is (i, n, r)
//	<prefix>{<board>:<season>:<shard>}:2o:<name>  sorted set: their entries as they were, and a last one that is none
//
// All three expire. The functions find them by the state's list, so they are not
// among a call's KEYS; they are in the same slot.
//
// Redis must not evict keys: maxmemory-policy noeviction.
package redis
