// Package webhook delivers the messages of the outbox to the game's webhooks, as Standard
// Webhooks (https://www.standardwebhooks.com) has it.
//
//	           claim, for a lease          2xx
//	waiting ──────────────────► under way ─────► delivered
//	   ▲                            │
//	   │  else, after a pause       │ else, once the time to try is over
//	   └────────────────────────────┴───────────────────────────────────► dead
//
// Every replica delivers what it can claim. Of each board and type of event a webhook's first
// message that waits can be claimed, so those arrive in their order, and one is sent by one
// replica at a time. A replica that is ended before it has recorded a delivery leaves a
// message that is sent once more, with the same webhook-id, when the lease is over.
//
// Webhooks do not wait for each other: each has its own requests under way.
package webhook
