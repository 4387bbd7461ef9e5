// Package commit makes submissions durable in groups: concurrent submissions
// share a transaction of the ledger and a round trip to the ranking.
//
// A submission passes three stages. It waits in a bounded queue; a batch is
// whatever has queued while the last one was being stored, so that batches grow
// with the load and nobody waits for company. The batch is stored in one
// transaction. Then, while the next batch is being stored, its standings are
// applied to the ranking together with those of other batches that are waiting for
// that, and every caller gets a receipt.
//
// What is stored is acknowledged even if the ranking is away: the receipt says
// that the rank is delayed, and catch-up brings the ranking up to date.
package commit
