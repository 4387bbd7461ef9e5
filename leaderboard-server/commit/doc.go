// Package commit makes submissions durable in groups: concurrent submissions share a
// transaction of the ledger and a round trip to the ranking.
//
// A submission waits in a bounded queue. A batch is whatever has queued while the last
// one was in flight, so batches grow with the load and there is no batching delay; a
// second one is in flight only when it is full. A batch is appended to the log in one
// transaction; then its events are applied to the ranking, and every caller gets a
// receipt.
//
// A batch has room for one submission of a player to a board whose scoring is ordered;
// further ones are in the next. So the statement folds one event a standing, and an
// account that floods such a board takes one place in each batch.
//
// Submissions that come many at once wait in a queue of their own. While single ones wait,
// too, a quarter of each batch is for these.
//
// A game may take so many submissions a second, its servers together. Each server leases some of
// them from the ledger, a tenth of a second's at a time, before they are queued.
//
// What is stored is acknowledged even if the ranking is away: the receipt says that
// the rank is delayed, and catch-up brings the ranking up to date.
package commit
