// Package leaderboard is the domain of leaderboard-server: boards, seasons,
// players, submissions, standings and ranks; their rules as pure functions; the
// [Service] that the HTTP API calls; and the interfaces of the stores that it
// consumes.
//
// The ledger (PostgreSQL) is the truth: an append-only list of score events and
// the standings folded from it. The ranking (Redis) is a projection of the
// standings that can always be rebuilt. Entries order by score and then by the
// event that reached it first, in the ledger's event order.
//
// This package imports the standard library only.
package leaderboard
