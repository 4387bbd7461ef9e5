package leaderboard

import "time"

// EventType is what happened, as webhooks name it.
type EventType string

// The events.
const (
	// EventEntryUnderReview is that a submission of a player is held back.
	EventEntryUnderReview EventType = "EntryUnderReview"
	// EventSeasonClosed is that the results of a season of a window are final.
	EventSeasonClosed EventType = "SeasonClosed"
	// EventPlayerBanned is that a player was banned, or shadow-banned.
	EventPlayerBanned EventType = "PlayerBanned"
)

// Subscription is which events a webhook is told of.
type Subscription struct {
	Webhook string
	Events  []EventType
	// Top is how many of a board's first entries it is told, where an event has any.
	Top int
}

// WebhookEvent is something that webhooks are told of.
type WebhookEvent struct {
	Type EventType
	// Board is the number of the board on which it happened: a webhook is told of the events of
	// a board that are of one type in the order in which they were enqueued.
	Board int32
	At    time.Time
	// Data is what it says, which encoding/json encodes, to a webhook that is told the first top
	// entries.
	Data func(top int) any
}

// EntryUnderReview is the data of an [EventEntryUnderReview].
type EntryUnderReview struct {
	// ID is that of the submission, which decisions name.
	ID       int64    `json:"id"`
	Board    string   `json:"board"`
	UserID   PlayerID `json:"user_id"`
	Username string   `json:"username"`
	Score    int64    `json:"score"`
	// Columns are its further columns by name; empty: it has none.
	Columns map[string]int64 `json:"columns,omitempty"`
	// Reason is why it is held back.
	Reason ReviewReason `json:"reason"`
}

// SeasonClosed is the data of an [EventSeasonClosed].
type SeasonClosed struct {
	Board    string    `json:"board"`
	Window   string    `json:"window"`
	Season   int32     `json:"season"`
	OpensAt  time.Time `json:"opens_at"`
	ClosesAt time.Time `json:"closes_at"`
	ClosedAt time.Time `json:"closed_at"`
	// TotalEntries is how many entries the results have, and Top are the first of them.
	TotalEntries int64           `json:"total_entries"`
	Top          []WebhookResult `json:"top"`
}

// PlayerBanned is the data of an [EventPlayerBanned].
type PlayerBanned struct {
	UserID   PlayerID `json:"user_id"`
	Username string   `json:"username"`
	// OwnerID and OwnerName are those of an owner that is no account.
	OwnerID   string `json:"owner_id,omitempty"`
	OwnerName string `json:"owner_name,omitempty"`
	// Action is Ban or ShadowBan, and Record the number of its record in the audit.
	Action AuditAction `json:"action"`
	Record int64       `json:"record"`
	// Actor is the service account that asked for it.
	Actor  string `json:"actor"`
	Reason string `json:"reason"`
}

// WebhookResult is an entry of the results of a season, as webhooks are told of it.
type WebhookResult struct {
	Rank     int64    `json:"rank"`
	UserID   PlayerID `json:"user_id"`
	Username string   `json:"username"`
	// OwnerID is the game's id of an owner that is no account, and OwnerName the name that is
	// shown; empty: it is a player.
	OwnerID   string `json:"owner_id,omitempty"`
	OwnerName string `json:"owner_name,omitempty"`
	Score     int64  `json:"score"`
	// GameID is the board on which the score was submitted.
	GameID string `json:"game_id"`
	// Columns are its further columns by name; empty: the board has none.
	Columns map[string]int64 `json:"columns,omitempty"`
}

// WebhookMessage is an event on its way to one webhook.
type WebhookMessage struct {
	// Number orders the messages, and ID names one for its receiver, however often it is sent.
	Number  int64
	ID      string
	Event   EventType
	Payload []byte
	// Attempt counts those that were begun, this one included.
	Attempt int
}

// WebhookFailure is an attempt that failed.
type WebhookFailure struct {
	Reason string
	// RetryAfter is when the next attempt is due, from now. It is the last one whose next would
	// be due more than GiveUp after the message was enqueued, or sent again by hand; Final: it
	// is the last one in any case.
	RetryAfter, GiveUp time.Duration
	Final              bool
}

// WebhookQueue says how far the messages of a webhook are.
type WebhookQueue struct {
	Webhook string
	// Waiting are those that are neither delivered nor given up, the oldest of them for Age;
	// Dead were given up.
	Waiting, Dead int64
	Age           time.Duration
}
