// Package leaderboard is the domain of leaderboard-server: boards, seasons,
// players, submissions, standings and ranks; their rules as pure functions; the
// [Service] that the HTTP API calls; and the interfaces of the stores that it
// consumes.
//
// The ledger (PostgreSQL) is a log of score events. Everything else is a fold of it:
// the standings, a checkpoint in PostgreSQL, and the ranking in Redis, which can always
// be rebuilt. [Join] and [Append] define the folds. Entries order by score and then by
// the event that reached it first, in the ledger's event order.
//
// This package imports the standard library and the schedules of windows only.
package leaderboard
