package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// LeaderboardFinalizer is on every Leaderboard before anything outside the
// cluster is made for it.
const LeaderboardFinalizer = "games.leaderboard.dev/tenant"

// AbandonAnnotation on a Leaderboard that is being deleted, with the value "true",
// gives up on its schema and Redis user: the object goes, they stay. For when the
// stores or the class no longer exist.
const AbandonAnnotation = "games.leaderboard.dev/abandon"

// RotateAnnotation on a Leaderboard has its logins, its signing keys and the secrets of its
// service accounts and webhooks replaced, once for each value.
const RotateAnnotation = "games.leaderboard.dev/rotate"

// ReconcileAnnotation on a Leaderboard has everything of it compared with what it should be, the
// stores included, once for each value; status.lastHandledReconcile is the value then.
const ReconcileAnnotation = "games.leaderboard.dev/reconcile"

// EndSeasonAnnotation on a Leaderboard ends an open season of a window: its value is
// board/window/season, as arena/weekly/41, for an end at once, or with @ and a time (RFC
// 3339) after it for another end. A season that is not open is left as it is.
const EndSeasonAnnotation = "games.leaderboard.dev/end-season"

// ResendWebhooksAnnotation on a Leaderboard has messages to a webhook sent again that were
// given up: its value is the webhook's name, @ and a time (RFC 3339), as
// results@2026-12-01T20:00:00Z, and means those that were given up before that time.
const ResendWebhooksAnnotation = "games.leaderboard.dev/resend-webhooks"

// Order says which of two scores is better.
// +kubebuilder:validation:Enum=Descending;Ascending
type Order string

const (
	// OrderDescending ranks the highest score first.
	OrderDescending Order = "Descending"
	// OrderAscending ranks the lowest score first.
	OrderAscending Order = "Ascending"
)

// Scoring says how a player's submissions make the player's score.
// +kubebuilder:validation:Enum=Best;First;Latest;Sum;Count
type Scoring string

const (
	// ScoringBest keeps the best submission by the board's order.
	ScoringBest Scoring = "Best"
	// ScoringFirst keeps the first submission.
	ScoringFirst Scoring = "First"
	// ScoringLatest keeps the latest submission.
	ScoringLatest Scoring = "Latest"
	// ScoringSum adds the submissions up.
	ScoringSum Scoring = "Sum"
	// ScoringCount counts the submissions.
	ScoringCount Scoring = "Count"
)

// Ranks says how entries with the same score and columns are counted.
// +kubebuilder:validation:Enum=Ordinal;Competition;Dense
type Ranks string

const (
	// RanksOrdinal are 1, 2, 3, 4: who was there first is first.
	RanksOrdinal Ranks = "Ordinal"
	// RanksCompetition are 1, 2, 2, 4.
	RanksCompetition Ranks = "Competition"
	// RanksDense are 1, 2, 2, 3.
	RanksDense Ranks = "Dense"
)

// Owners says whose the entries of a board are.
// +kubebuilder:validation:Enum=Players;External
type Owners string

const (
	// OwnersPlayers are the game's players.
	OwnersPlayers Owners = "Players"
	// OwnersExternal are what the game's servers name: teams, clans, cars or maps.
	OwnersExternal Owners = "External"
)

// Submitters says who may submit scores to a board.
// +kubebuilder:validation:Enum=Players;Servers
type Submitters string

const (
	// SubmittersPlayers are players, each for itself, and servers for any of them.
	SubmittersPlayers Submitters = "Players"
	// SubmittersServers are servers alone.
	SubmittersServers Submitters = "Servers"
)

// Signatures says whether players sign what they submit to a board.
// +kubebuilder:validation:Enum=None;Required
type Signatures string

const (
	// SignaturesNone takes submissions as they come.
	SignaturesNone Signatures = "None"
	// SignaturesRequired takes those of players that are signed.
	SignaturesRequired Signatures = "Required"
)

// ReviewWhen says which submissions of players a board holds back.
// +kubebuilder:validation:Enum=Always;Suspicious
type ReviewWhen string

const (
	// ReviewAlways holds all of them back.
	ReviewAlways ReviewWhen = "Always"
	// ReviewSuspicious holds those back that a rule is about.
	ReviewSuspicious ReviewWhen = "Suspicious"
)

// Scope is something that a service account may do.
// +kubebuilder:validation:Enum=submit;read;moderate;admin
type Scope string

// The scopes.
const (
	// ScopeSubmit hands in scores of players, and decides on those that are held back.
	ScopeSubmit Scope = "submit"
	// ScopeRead reads what only players may read otherwise.
	ScopeRead Scope = "read"
	// ScopeModerate resets passwords, and reads which names players had.
	ScopeModerate Scope = "moderate"
	// ScopeAdmin is for calls that are yet to come.
	ScopeAdmin Scope = "admin"
)

// WebhookEvent is something that webhooks are told of.
// +kubebuilder:validation:Enum=EntryUnderReview;SeasonClosed;PlayerBanned
type WebhookEvent string

// The events.
const (
	// WebhookEntryUnderReview is that a submission of a player is held back.
	WebhookEntryUnderReview WebhookEvent = "EntryUnderReview"
	// WebhookSeasonClosed is that the results of a season of a window are final.
	WebhookSeasonClosed WebhookEvent = "SeasonClosed"
	// WebhookPlayerBanned is that a player was banned, or shadow-banned.
	WebhookPlayerBanned WebhookEvent = "PlayerBanned"
)

// DeletionPolicy says what becomes of a tenant's data when its Leaderboard is
// deleted.
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

const (
	// DeletionPolicyRetain keeps the Postgres schema; a Leaderboard of the same
	// namespace and name finds it again. The Redis keys go: they are rebuilt.
	DeletionPolicyRetain DeletionPolicy = "Retain"
	// DeletionPolicyDelete drops the schema, the roles, the Redis user and keys.
	DeletionPolicyDelete DeletionPolicy = "Delete"
)

// ExposureType says how game clients reach an endpoint.
// +kubebuilder:validation:Enum=Ingress;Service
type ExposureType string

const (
	// ExposureIngress makes an Ingress under the class's domain.
	ExposureIngress ExposureType = "Ingress"
	// ExposureService makes a ClusterIP Service only.
	ExposureService ExposureType = "Service"
)

// Board is one ranking of a game.
//
// +kubebuilder:validation:XValidation:rule="self.name != 'global'",fieldPath=".name",message="the board global always exists and cannot be configured: remove it from the list, or choose another name"
// +kubebuilder:validation:XValidation:rule="!has(self.minScore) || !has(self.maxScore) || self.minScore <= self.maxScore",fieldPath=".minScore",message="minScore must not be greater than maxScore: lower minScore or raise maxScore"
// +kubebuilder:validation:XValidation:rule="!has(self.allTime) || self.allTime || (has(self.windows) && size(self.windows) > 0)",fieldPath=".allTime",message="a board without a ranking of all time needs windows: add one, or leave allTime out"
// +kubebuilder:validation:XValidation:rule="!has(self.countsTowardGlobal) || !self.countsTowardGlobal || !has(self.order) || self.order == 'Descending'",fieldPath=".countsTowardGlobal",message="an Ascending board cannot count toward global, where the highest score is best: set it to false or leave it out"
// +kubebuilder:validation:XValidation:rule="!has(self.columns) || size(self.columns) == 0 || !has(self.scoring) || !(self.scoring in ['Sum', 'Count'])",fieldPath=".columns",message="columns are of one submission, and a sum or a count is of several: set scoring to Best, First or Latest, or leave columns out"
// +kubebuilder:validation:XValidation:rule="!has(self.signatures) || self.signatures != 'Required' || !has(self.submitters) || self.submitters != 'Servers'",fieldPath=".signatures",message="players sign their submissions, and the submitters are Servers, who need no signature: leave signatures out"
// +kubebuilder:validation:XValidation:rule="!has(self.review) || self.review.when != 'Always' || !has(self.limits)",fieldPath=".limits",message="limits are of submissions that are taken at once, and review Always takes none of players at once: leave limits out"
// +kubebuilder:validation:XValidation:rule="!has(self.review) || !has(self.submitters) || self.submitters != 'Servers'",fieldPath=".review",message="what servers submit is taken at once, and the submitters are Servers: leave review out"
// +kubebuilder:validation:XValidation:rule="!has(self.review) || !has(self.review.improvementAbove) || !has(self.scoring) || self.scoring in ['Best', 'Latest']",fieldPath=".review.improvementAbove",message="what one submission improves is known where the scoring is Best or Latest: leave improvementAbove out, and set betterThan"
// +kubebuilder:validation:XValidation:rule="!has(self.review) || !has(self.review.improvementAbove) || !has(self.maxImprovement)",fieldPath=".review.improvementAbove",message="maxImprovement refuses what improvementAbove holds back: set one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.maxImprovement) || !has(self.scoring) || self.scoring in ['Best', 'Latest']",fieldPath=".maxImprovement",message="what one submission improves is bounded where the scoring is Best or Latest: with First nothing improves, with Sum it is the score itself, which maxScore and minScore bound, and with Count it is 1; leave maxImprovement out"
// +kubebuilder:validation:XValidation:rule="!has(self.limits) || !has(self.limits.attempts) || self.limits.attempts.all(a, a.window == 'all' ? (!has(self.allTime) || self.allTime) : (has(self.windows) && self.windows.exists(w, w.name == a.window)))",fieldPath=".limits",message="limits.attempts must name windows that the board has: one of windows, or all for the ranking of all time"
// +kubebuilder:validation:XValidation:rule="!has(self.owners) || self.owners != 'External' || !has(self.submitters) || self.submitters == 'Servers'",fieldPath=".submitters",message="owners that are External have no login, so only servers submit: set submitters to Servers, or leave it out"
// +kubebuilder:validation:XValidation:rule="!has(self.owners) || self.owners != 'External' || !has(self.signatures) || self.signatures != 'Required'",fieldPath=".signatures",message="players sign their submissions, and to a board of External owners only servers submit, who need no signature: leave signatures out"
// +kubebuilder:validation:XValidation:rule="!has(self.owners) || self.owners != 'External' || !has(self.countsTowardGlobal) || !self.countsTowardGlobal",fieldPath=".countsTowardGlobal",message="a board of External owners cannot count toward global, which ranks players: set it to false or leave it out"
// +kubebuilder:validation:XValidation:rule="(has(self.owners) && self.owners == 'External') == (has(oldSelf.owners) && oldSelf.owners == 'External')",fieldPath=".owners",message="the owners of a board cannot be changed, as its entries belong to those that it has: add a board with another name instead"
type Board struct {
	// name is what clients send as game_id: lower-case letters, digits, - and _,
	// beginning and ending with a letter or digit.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$')",message="must be lower-case letters, digits, - or _, and begin and end with a letter or digit, for example time-trial"
	Name string `json:"name"`

	// order says which score is best: Descending (the highest) or Ascending
	// (the lowest). Left out, Descending. May be changed: see scoring.
	// +optional
	Order Order `json:"order,omitempty"`

	// scoring says how submissions make a player's score: the Best of them, the First,
	// the Latest, their Sum, or their Count. Left out, the Best.
	// Another order or scoring, or other columns, has the board made of all its scores once
	// more, while it is served as it was: status.refolds says how far that is, or why it cannot
	// be done.
	// +optional
	Scoring Scoring `json:"scoring,omitempty"`

	// minScore is the lowest score that a submission may carry.
	// +optional
	// +kubebuilder:validation:Minimum=-9007199254740991
	// +kubebuilder:validation:Maximum=9007199254740991
	MinScore *int64 `json:"minScore,omitempty"`

	// maxScore is the highest score that a submission may carry.
	// +optional
	// +kubebuilder:validation:Minimum=-9007199254740991
	// +kubebuilder:validation:Maximum=9007199254740991
	MaxScore *int64 `json:"maxScore,omitempty"`

	// owners says whose the entries are: Players, or External: what the game's servers name by
	// ids of the game, such as teams, clans, cars or maps. Only servers submit to such a board,
	// and it does not count toward global. It cannot be changed. Left out: Players.
	// +optional
	Owners Owners `json:"owners,omitempty"`

	// submitters says who may submit scores: Players, each for itself, and the game's
	// servers for any of them; or Servers alone, with the token of a service account that
	// has the scope submit. Left out: Players, or, where the owners are External, Servers.
	// +optional
	Submitters Submitters `json:"submitters,omitempty"`

	// signatures says whether players have to sign what they submit, with a key that their
	// login gives them: None, or Required, which makes requests useless to those who capture or
	// change them. The game's servers need no signature. Left out: None.
	// +optional
	Signatures Signatures `json:"signatures,omitempty"`

	// maxImprovement is by how much one submission may improve the standing that its player
	// has of all time, shown or not; a player's first one is bounded by minScore and maxScore
	// alone. It holds for the game's servers, too. For the scorings Best and Latest. Left out,
	// there is no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740991
	MaxImprovement *int64 `json:"maxImprovement,omitempty"`

	// limits are how often one player may submit, itself or through the game's servers. What is
	// over them is refused until there is room again. Left out, there are none.
	// +optional
	Limits *BoardLimits `json:"limits,omitempty"`

	// review says which submissions of players are held back until a server of the game or a
	// moderator accepts them; what servers submit is taken at once. Left out, none is.
	// +optional
	Review *Review `json:"review,omitempty"`

	// countsTowardGlobal says whether a submission to this board also counts on
	// the board global. Left out, a Descending board of players counts, and no
	// other does.
	// +optional
	CountsTowardGlobal *bool `json:"countsTowardGlobal,omitempty"`

	// decimals is how many digits of a score clients are to show behind the point, such
	// as 3 for times in milliseconds that are shown as seconds. Scores are integers in
	// every call.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9
	Decimals int32 `json:"decimals,omitempty"`

	// ranks says how entries with the same score and columns are counted: Ordinal is 1, 2,
	// 3, 4, who was there first before the others; Competition is 1, 2, 2, 4; Dense is 1,
	// 2, 2, 3, which takes some 90 bytes of Redis for each score that there is.
	// Left out: Ordinal.
	// +optional
	Ranks Ranks `json:"ranks,omitempty"`

	// columns are further numbers of each submission, which rank entries of equal scores,
	// one after the other. They are of the submission that the score is of, never mixed from
	// several. Some may be left out later, and their order and orders changed: see scoring. New
	// ones, of which past submissions have no values, need another board.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:XValidation:rule="self.all(c, self.exists_one(d, d.name == c.name))",message="columns must have different names"
	Columns []Column `json:"columns,omitempty"`

	// metadata is what a submission may bring besides, such as the car that was driven: a
	// JSON object that is shown with the entry that the submission made. Left out, the board
	// takes none.
	// +optional
	Metadata *BoardMetadata `json:"metadata,omitempty"`

	// allTime says whether there is a ranking of all time; left out, there is. Without it
	// the board is what its windows are, and takes submissions only while a season of one
	// is open.
	// +optional
	AllTime *bool `json:"allTime,omitempty"`

	// windows are rankings of parts of the time, over the same submissions: daily, weekly,
	// monthly, or once from a start to an end.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Windows []Window `json:"windows,omitempty"`

	// segments are attributes of the players by whose values the board is split: a player
	// has a rank within those who have the same, next to the one among all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.all(s, self.exists_one(t, t == s))",message="segments must name each attribute once"
	Segments []string `json:"segments,omitempty"`
}

// BoardLimits are how often one player may submit to a board. Refused submissions and
// repetitions do not count.
//
// +kubebuilder:validation:MinProperties=1
type BoardLimits struct {
	// perMinute is how many submissions there may be in any 60 seconds.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	PerMinute *int32 `json:"perMinute,omitempty"`

	// cooldownSeconds is how long after a submission the next one is taken, up to a week.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	CooldownSeconds *int32 `json:"cooldownSeconds,omitempty"`

	// attempts are how many submissions there may be in each season of a window.
	// +optional
	// +listType=map
	// +listMapKey=window
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=9
	Attempts []BoardAttempts `json:"attempts,omitempty"`
}

// BoardAttempts is how many submissions of one player there may be in a season.
type BoardAttempts struct {
	// window is the name of one of the board's windows, or all for all time.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Window string `json:"window"`

	// max is how many there may be in each of its seasons.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Max int32 `json:"max"`
}

// Review says which submissions of players a board holds back.
//
// +kubebuilder:validation:XValidation:rule="self.when != 'Always' || !has(self.betterThan)",fieldPath=".betterThan",message="Always holds every submission of a player back: leave betterThan out, or set when to Suspicious"
// +kubebuilder:validation:XValidation:rule="self.when != 'Always' || !has(self.improvementAbove)",fieldPath=".improvementAbove",message="Always holds every submission of a player back: leave improvementAbove out, or set when to Suspicious"
// +kubebuilder:validation:XValidation:rule="self.when != 'Suspicious' || has(self.betterThan) || has(self.improvementAbove)",fieldPath=".when",message="Suspicious holds back what a rule is about: set betterThan or improvementAbove, or set when to Always"
type Review struct {
	// when says which: Always, or Suspicious, those that a rule is about.
	// +required
	When ReviewWhen `json:"when"`

	// betterThan holds back submissions whose score is better than this one, in the order of
	// the board: higher, or with the order Ascending lower.
	// +optional
	// +kubebuilder:validation:Minimum=-9007199254740991
	// +kubebuilder:validation:Maximum=9007199254740991
	BetterThan *int64 `json:"betterThan,omitempty"`

	// improvementAbove holds back submissions that improve the standing that their player has of
	// all time by more than that, which maxImprovement would refuse: only one of the two can be
	// set. For the scorings Best and Latest, and not for global.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740991
	ImprovementAbove *int64 `json:"improvementAbove,omitempty"`
}

// Column is a further number of each submission.
//
// +kubebuilder:validation:XValidation:rule="!has(self.min) || !has(self.max) || self.min <= self.max",fieldPath=".min",message="min must not be greater than max: lower min or raise max"
type Column struct {
	// name is what clients call it: lower-case letters, digits, - and _, beginning and
	// ending with a letter or digit.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$')",message="must be lower-case letters, digits, - or _, and begin and end with a letter or digit, for example deaths"
	// +kubebuilder:validation:XValidation:rule="self != 'score'",message="score is what the first number of a submission is called: choose another name"
	Name string `json:"name"`

	// order says which value is best: Descending (the highest) or Ascending (the lowest). Left
	// out, Descending.
	// +optional
	Order Order `json:"order,omitempty"`

	// min is the lowest value that a submission may carry.
	// +optional
	// +kubebuilder:validation:Minimum=-9007199254740991
	// +kubebuilder:validation:Maximum=9007199254740991
	Min *int64 `json:"min,omitempty"`

	// max is the highest value that a submission may carry.
	// +optional
	// +kubebuilder:validation:Minimum=-9007199254740991
	// +kubebuilder:validation:Maximum=9007199254740991
	Max *int64 `json:"max,omitempty"`

	// decimals is how many digits of a value clients are to show behind the point.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9
	Decimals int32 `json:"decimals,omitempty"`
}

// BoardMetadata is what a submission may bring besides its score.
type BoardMetadata struct {
	// maxBytes is how long it may be, in bytes of JSON without whitespace. Left out, 2048.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2048
	MaxBytes int32 `json:"maxBytes,omitempty"`

	// schema is a JSON Schema (draft 2020-12, or the one that $schema names) that it is held
	// to: at most 8 KiB, with references to its own parts only. Left out, any object is taken.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Schema *runtime.RawExtension `json:"schema,omitempty"`
}

// Attribute is a property of players by which boards may be split.
//
// +kubebuilder:validation:XValidation:rule="has(self.values) != has(self.pattern)",message="an attribute needs either values, a list of those that are allowed, or a pattern that they match"
type Attribute struct {
	// name is what clients call it: lower-case letters, digits, - and _, beginning and
	// ending with a letter or digit.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$')",message="must be lower-case letters, digits, - or _, and begin and end with a letter or digit, for example country"
	Name string `json:"name"`

	// values are those that players may choose: letters, digits, dots, - and _.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=250
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=32
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9._-]+$`
	Values []string `json:"values,omitempty"`

	// pattern is a regular expression (RE2) that the whole of a value has to match, instead
	// of values.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	Pattern string `json:"pattern,omitempty"`
}

// Window is a ranking of a part of the time. Each of its runs is a season.
//
// +kubebuilder:validation:XValidation:rule="has(self.schedule) != (has(self.start) || has(self.end))",message="a window needs either a schedule, for example daily, or both start and end"
// +kubebuilder:validation:XValidation:rule="has(self.start) == has(self.end)",fieldPath=".end",message="start and end belong together: set both, or a schedule"
// +kubebuilder:validation:XValidation:rule="!has(self.start) || !has(self.end) || self.end - self.start >= duration('1m')",fieldPath=".end",message="end must be at least one minute after start"
// +kubebuilder:validation:XValidation:rule="!has(self.start) || !has(self.timeZone) || self.timeZone == 'UTC'",fieldPath=".timeZone",message="start and end name their own zone: leave timeZone out"
type Window struct {
	// name is what clients ask for: lower-case letters, digits, - and _, beginning and
	// ending with a letter or digit. all is the ranking of all time.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$')",message="must be lower-case letters, digits, - or _, and begin and end with a letter or digit, for example weekly"
	// +kubebuilder:validation:XValidation:rule="self != 'all'",message="the window all is that of all time: choose another name, or set allTime of the board to false"
	Name string `json:"name"`

	// schedule is when a season ends and the next begins: daily, weekly (on Monday),
	// monthly, or five fields as of cron: minute, hour, day of the month, month, day of the
	// week. At most once an hour. A season that has begun keeps its end when this changes.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self in ['daily', 'weekly', 'monthly'] || self.matches('^[0-5]?[0-9]( [0-9A-Za-z*/,?-]+){4}$')",message="must be daily, weekly, monthly, or five fields as of cron, the first of which is one minute, for example 0 6 * * 1"
	Schedule string `json:"schedule,omitempty"`

	// timeZone is the IANA name of the zone whose clocks the schedule means. Left out, UTC.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$') && self != 'Local'",message="must be an IANA name, for example Europe/Berlin"
	TimeZone string `json:"timeZone,omitempty"`

	// start and end are those of a window that is there once. What was submitted before
	// the window was added does not count.
	// +optional
	Start *metav1.Time `json:"start,omitempty"`

	// end is the first moment that does not count any more. It may be moved until then.
	// +optional
	End *metav1.Time `json:"end,omitempty"`

	// keep is of how many closed seasons the results are kept. Left out, 10.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Keep int32 `json:"keep,omitempty"`
}

// GlobalSpec configures the board global.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minScore) || !has(self.maxScore) || self.minScore <= self.maxScore",fieldPath=".minScore",message="minScore must not be greater than maxScore: lower minScore or raise maxScore"
// +kubebuilder:validation:XValidation:rule="!has(self.signatures) || self.signatures != 'Required' || !has(self.submitters) || self.submitters != 'Servers'",fieldPath=".signatures",message="players sign their submissions, and the submitters are Servers, who need no signature: leave signatures out"
// +kubebuilder:validation:XValidation:rule="!has(self.limits) || !has(self.limits.attempts) || self.limits.attempts.all(a, a.window == 'all' || (has(self.windows) && self.windows.exists(w, w.name == a.window)))",fieldPath=".limits",message="limits.attempts must name windows that the board has: one of windows, or all for the ranking of all time"
// +kubebuilder:validation:XValidation:rule="!has(self.limits) || !has(self.direct) || self.direct",fieldPath=".limits",message="with direct set to false nothing is submitted to global, so there is nothing to limit: leave limits out"
// +kubebuilder:validation:XValidation:rule="!has(self.review) || self.review.when != 'Always' || !has(self.limits)",fieldPath=".limits",message="limits are of submissions that are taken at once, and review Always takes none of players at once: leave limits out"
// +kubebuilder:validation:XValidation:rule="!has(self.review) || !has(self.submitters) || self.submitters != 'Servers'",fieldPath=".review",message="what servers submit is taken at once, and the submitters are Servers: leave review out"
// +kubebuilder:validation:XValidation:rule="!has(self.review) || !has(self.review.improvementAbove)",fieldPath=".review.improvementAbove",message="on global nobody's improvement is bounded: leave improvementAbove out, and set betterThan"
type GlobalSpec struct {
	// minScore is the lowest score that a submission without game_id may carry. What
	// other boards bring is within their own bounds.
	// +optional
	// +kubebuilder:validation:Minimum=-9007199254740991
	// +kubebuilder:validation:Maximum=9007199254740991
	MinScore *int64 `json:"minScore,omitempty"`

	// maxScore is the highest score that a submission without game_id may carry.
	// +optional
	// +kubebuilder:validation:Minimum=-9007199254740991
	// +kubebuilder:validation:Maximum=9007199254740991
	MaxScore *int64 `json:"maxScore,omitempty"`

	// direct says whether submissions without game_id are taken. false: global has only
	// what other boards bring, and a client that forgets the name of its board is told.
	// +optional
	// +default=true
	Direct *bool `json:"direct,omitempty"`

	// submitters says who may submit scores without game_id: Players, or Servers alone; see
	// that of boards. What other boards bring is as their submitters say. Left out: Players.
	// +optional
	Submitters Submitters `json:"submitters,omitempty"`

	// signatures says whether players have to sign what they submit without game_id: None, or
	// Required; see that of boards. Left out: None.
	// +optional
	Signatures Signatures `json:"signatures,omitempty"`

	// limits are how often one player may submit without game_id; see those of boards. What
	// other boards bring does not count. Left out, there are none.
	// +optional
	Limits *BoardLimits `json:"limits,omitempty"`

	// review says which submissions of players without game_id are held back; see that of
	// boards. What other boards bring is held back as their review says. Left out, none is.
	// +optional
	Review *Review `json:"review,omitempty"`

	// decimals is how many digits of a score clients are to show behind the point, such
	// as 3 for times in milliseconds that are shown as seconds. Scores are integers in
	// every call.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9
	Decimals int32 `json:"decimals,omitempty"`

	// ranks says how entries with the same score are counted: Ordinal is 1, 2, 3, 4, who
	// was there first before the others; Competition is 1, 2, 2, 4; Dense is 1, 2, 2, 3.
	// Left out: Ordinal.
	// +optional
	Ranks Ranks `json:"ranks,omitempty"`

	// windows are rankings of parts of the time, over the same submissions: daily, weekly,
	// monthly, or once from a start to an end.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Windows []Window `json:"windows,omitempty"`

	// segments are attributes of the players by whose values the board is split: a player
	// has a rank within those who have the same, next to the one among all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.all(s, self.exists_one(t, t == s))",message="segments must name each attribute once"
	Segments []string `json:"segments,omitempty"`
}

// ServiceAccount is how servers of the game log in.
type ServiceAccount struct {
	// name is the account's client_id, and part of the name of the Secret with its
	// client_secret: 3 to 32 lower-case letters, digits and -, beginning and ending with a
	// letter or digit.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="must be lower-case letters, digits or -, and begin and end with a letter or digit, for example match-server"
	Name string `json:"name"`

	// scopes are what the account may do: submit hands in scores of players, read reads
	// what only players may read otherwise, moderate resets passwords and reads which names
	// players had. admin is for calls that are yet to come.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Scopes []Scope `json:"scopes,omitempty"`

	// kubernetes are ServiceAccounts of the cluster whose Pods are this account, with the
	// tokens that are projected for them instead of the secret. It takes a class with
	// serviceAccountIssuer.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Kubernetes []KubernetesServiceAccount `json:"kubernetes,omitempty"`
}

// KubernetesServiceAccount names a ServiceAccount of the cluster.
type KubernetesServiceAccount struct {
	// serviceAccount is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="must be the name of a ServiceAccount, for example match-server"
	ServiceAccount string `json:"serviceAccount,omitempty"`

	// namespace is where it is; left out, the Leaderboard's own.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="must be the name of a namespace"
	Namespace string `json:"namespace,omitempty"`
}

// Webhook is where messages about the game are sent.
type Webhook struct {
	// name is part of the name of the Secret with the secret that messages are signed with: 1 to
	// 32 lower-case letters, digits and -, beginning and ending with a letter or digit.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="must be lower-case letters, digits or -, and begin and end with a letter or digit, for example results"
	Name string `json:"name"`

	// url is where messages are posted: https, unless the class allows http, without a username,
	// a password or a fragment. Its host must lead to public addresses, unless the class allows
	// others.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@ ]+([/?][^# ]*)?$') && isURL(self)",message="must be a URL without a username, a password or a fragment, for example https://example.com/hooks/leaderboard"
	URL string `json:"url"`

	// events are what the webhook is told of: EntryUnderReview, that a submission of a player is
	// held back until somebody decides on it; SeasonClosed, that the results of a season of a
	// window are final; PlayerBanned, that a player was banned or shadow-banned.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Events []WebhookEvent `json:"events,omitempty"`

	// top is how many of a board's first entries a message has, where its event has any. Left
	// out, 10.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Top *int32 `json:"top,omitempty"`
}

// AutoscalingSpec scales the server on CPU.
//
// +kubebuilder:validation:XValidation:rule="self.minReplicas <= self.maxReplicas",fieldPath=".minReplicas",message="minReplicas (2 where it is left out) must not be greater than maxReplicas: lower minReplicas or raise maxReplicas"
type AutoscalingSpec struct {
	// minReplicas is how many Pods there are at the least.
	// +optional
	// +default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MinReplicas int32 `json:"minReplicas,omitempty"`

	// maxReplicas is how many Pods there are at the most.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// targetCPUUtilizationPercentage is the average CPU use, in percent of the
	// requested CPU, that scaling aims at.
	// +optional
	// +default=70
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=100
	TargetCPUUtilizationPercentage int32 `json:"targetCPUUtilizationPercentage,omitempty"`
}

// Issuer is somebody elsewhere who knows players of the game.
type Issuer struct {
	// name is for logs.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="must be lower-case letters, digits or -, and begin and end with a letter or digit, for example store"
	Name string `json:"name,omitempty"`

	// issuer is the URL that its tokens have as iss, under which it is discovered. http
	// takes a class that allows it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9._~/-]*)?$')",message="must be a URL without a query, for example https://id.example.com"
	Issuer string `json:"issuer,omitempty"`

	// audience is what its tokens for this game have as aud: the game's client id there.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.contains('$')",message="must not contain $"
	Audience string `json:"audience,omitempty"`

	// usernameClaim is the claim with the name that a new player gets, if the rules of
	// usernames allow it and nobody has it. Left out, preferred_username.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="!self.contains('$')",message="must not contain $"
	UsernameClaim string `json:"usernameClaim,omitempty"`
}

// AuthSpec configures the accounts of a game.
type AuthSpec struct {
	// tokenTTL is how long an access token is good for, from 1m to 24h.
	// +optional
	// +default="1h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1m') && duration(self) <= duration('24h')",message="must be a duration from 1m to 24h, for example 1h or 90m"
	TokenTTL metav1.Duration `json:"tokenTTL,omitzero"`

	// refreshTokenTTL is how long a refresh token is good for, from 1h to 8760h; left out,
	// 720h, which are 30 days. Refreshing gives the next one the whole time.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1h') && duration(self) <= duration('8760h')",message="must be a duration from 1h to 8760h, for example 720h"
	RefreshTokenTTL metav1.Duration `json:"refreshTokenTTL,omitzero"`

	// renameEvery is how long a player keeps a new username at least, from 1h to 8760h;
	// left out, 720h, which are 30 days.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1h') && duration(self) <= duration('8760h')",message="must be a duration from 1h to 8760h, for example 720h"
	RenameEvery metav1.Duration `json:"renameEvery,omitzero"`

	// issuers know players elsewhere: their ID tokens log these in (OpenID Connect).
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(i, self.exists_one(j, j.issuer == i.issuer))",message="issuers must have each issuer once"
	Issuers []Issuer `json:"issuers,omitempty"`

	// passwordCost is the cost of bcrypt, a power of two: each step doubles the
	// work of a login.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=14
	PasswordCost int32 `json:"passwordCost,omitempty"`

	// reservedNames are usernames that nobody can register, nor others that look
	// like them; players who have one keep it. They take the place of the server's
	// own list: admin, administrator, developer, gamemaster, mod, moderator, null,
	// official, owner, root, security, server, staff, support, system, undefined.
	// An empty list reserves none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=32
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[^ ,$]+$')",message="must be a username: without spaces, commas and $"
	ReservedNames []string `json:"reservedNames,omitzero"`
}

// RetentionSpec says what of a game is dropped after a time.
type RetentionSpec struct {
	// events is how long each submission is kept at the least, from 24h to 876000h.
	// They are dropped by the month; entries, ranks and results of seasons stay. Left
	// out, they are kept for ever.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(m|h))+$') && duration(self) >= duration('24h') && duration(self) <= duration('876000h')",message="must be a duration in hours from 24h to 876000h, for example 2160h for 90 days"
	Events metav1.Duration `json:"events,omitzero"`

	// idempotencyKeys is how long the outcome of a submission is kept under its Idempotency-Key, from 1m to 720h. Left out, 24h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1m') && duration(self) <= duration('720h')",message="must be a duration from 1m to 720h, for example 24h"
	IdempotencyKeys metav1.Duration `json:"idempotencyKeys,omitzero"`
}

// HTTPSpec configures the REST API of a game.
type HTTPSpec struct {
	// allowedOrigins are the origins of web pages that may call the API, such as
	// https://play.example.com, for a game that runs in browsers. * means any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:XValidation:rule="self == '*' || self.matches('^[a-z][a-z0-9+.-]*://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$')",message="must be an origin as browsers send it: scheme, host and, where it is not the usual one, port, in lower case and without a path, for example https://play.example.com"
	AllowedOrigins []string `json:"allowedOrigins,omitempty"`

	// maxPageSize is how many entries a page may have. Left out, 100.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxPageSize *int32 `json:"maxPageSize,omitempty"`

	// pageMaxAge is for how long clients and proxies may keep a page that was read without a
	// token, from 0s (they ask each time whether it is still the same) to 1h, in whole seconds.
	// Left out, 1s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(s|m|h))+$') && duration(self) <= duration('1h')",message="must be a duration in whole seconds from 0s to 1h, for example 5s"
	PageMaxAge *metav1.Duration `json:"pageMaxAge,omitempty"`
}

// ExposureSpec says how game clients reach the endpoint.
type ExposureSpec struct {
	// type is Ingress (under the class's domain) or Service (inside the
	// cluster only).
	// +required
	Type ExposureType `json:"type,omitempty"`
}

// LeaderboardSpec is what a game team asks for.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.autoscaling) || oldSelf.hasValue() && has(oldSelf.value().replicas) && oldSelf.value().replicas == self.replicas",optionalOldSelf=true,fieldPath=".replicas",message="set either replicas or autoscaling, not both: with autoscaling, the autoscaler owns the number of replicas"
// +kubebuilder:validation:XValidation:rule="!has(self.boards) || self.boards.all(b, !has(b.segments) || b.segments.all(s, has(self.attributes) && self.attributes.exists(a, a.name == s)))",fieldPath=".boards",message="every segment of a board must be the name of one of the game's attributes: add it to attributes, or leave it out"
// +kubebuilder:validation:XValidation:rule="!has(self.global) || !has(self.global.segments) || self.global.segments.all(s, has(self.attributes) && self.attributes.exists(a, a.name == s))",fieldPath=".global",message="every segment of global must be the name of one of the game's attributes: add it to attributes, or leave it out"
// +kubebuilder:validation:XValidation:rule="!has(self.boards) || !self.boards.exists(b, has(b.submitters) && b.submitters == 'Servers') || (has(self.serviceAccounts) && self.serviceAccounts.exists(a, 'submit' in a.scopes))",fieldPath=".boards",message="a board whose submitters are Servers needs a service account with the scope submit: add one to serviceAccounts, or set submitters to Players"
// +kubebuilder:validation:XValidation:rule="!has(self.boards) || !self.boards.exists(b, has(b.owners) && b.owners == 'External') || (has(self.serviceAccounts) && self.serviceAccounts.exists(a, 'submit' in a.scopes))",fieldPath=".boards",message="a board whose owners are External needs a service account with the scope submit: add one to serviceAccounts"
// +kubebuilder:validation:XValidation:rule="!has(self.global) || !has(self.global.submitters) || self.global.submitters != 'Servers' || (has(self.serviceAccounts) && self.serviceAccounts.exists(a, 'submit' in a.scopes))",fieldPath=".global",message="global, whose submitters are Servers, needs a service account with the scope submit: add one to serviceAccounts, or set submitters to Players"
type LeaderboardSpec struct {
	// className is the LeaderboardClass whose stores hold this game's data. Left
	// out, the operator fills in the default class. It cannot be changed later.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="className cannot be changed, as the data lives in the class's stores: create another Leaderboard instead"
	ClassName *string `json:"className,omitempty"`

	// attributes are properties of players, such as their country, by which boards may be
	// split. Players choose their values when they register, and may change them.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	Attributes []Attribute `json:"attributes,omitempty"`

	// boards are the game's rankings, beside the board global that every game has.
	// A board that is removed keeps its scores and comes back with them.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Boards []Board `json:"boards,omitempty"`

	// global configures the board global, which every game has.
	// +optional
	Global *GlobalSpec `json:"global,omitempty"`

	// replicas is the number of server Pods. Left out, and without autoscaling, the operator
	// fills in how many there are, or of a new game what the class says.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Replicas *int32 `json:"replicas,omitempty"`

	// autoscaling scales the number of server Pods on CPU. It excludes replicas, which is
	// without effect where it was set before.
	// +optional
	Autoscaling *AutoscalingSpec `json:"autoscaling,omitempty"`

	// resources of each server Pod. Left out, the class decides.
	// +optional
	Resources *Resources `json:"resources,omitempty"`

	// pods is what the class allows to be said of the Pods. It is added to what the class says.
	// +optional
	Pods PodsSpec `json:"pods,omitzero"`

	// auth configures the accounts of the game.
	// +optional
	// +default={}
	Auth AuthSpec `json:"auth,omitzero"`

	// serviceAccounts are how servers of the game log in. The operator makes a Secret with
	// the credentials of each, next to this object: <name>-leaderboard-account-<account>.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ServiceAccounts []ServiceAccount `json:"serviceAccounts,omitempty"`

	// retention says what of the game is dropped after a time.
	// +optional
	Retention RetentionSpec `json:"retention,omitzero"`

	// webhooks are where messages about the game are sent. The operator makes a Secret with the
	// secret that those of each are signed with, next to this object:
	// <name>-leaderboard-webhook-<webhook>.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Webhooks []Webhook `json:"webhooks,omitempty"`

	// logLevel is the least that the game's servers log, where it is not the class's: debug,
	// info, warn or error.
	// +optional
	LogLevel LogLevel `json:"logLevel,omitempty"`

	// http configures the REST API.
	// +optional
	HTTP HTTPSpec `json:"http,omitzero"`

	// exposure says how game clients reach the endpoint. Left out, the class
	// decides.
	// +optional
	Exposure *ExposureSpec `json:"exposure,omitempty"`

	// deletionPolicy says what becomes of the scores when this object is
	// deleted: Retain keeps them in Postgres, Delete drops them.
	// +optional
	// +default="Retain"
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// suspend stops the operator from changing anything of this game; what runs
	// goes on running. Deleting the object still works.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// Resources are the compute resources of one server Pod.
//
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || !isQuantity(string(self.requests[k])) || !isQuantity(string(self.limits[k])) || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",fieldPath=".requests",message="a request must not be greater than its limit: lower the request or raise the limit"
type Resources struct {
	// requests are what a Pod is scheduled by: cpu and memory.
	// +optional
	// +kubebuilder:validation:MaxProperties=3
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['cpu', 'memory'])",message="only cpu and memory can be requested: remove the others"
	// +kubebuilder:validation:XValidation:rule="self.all(k, isQuantity(string(self[k])) && quantity(string(self[k])).isGreaterThan(quantity('0')))",message="each must be a quantity greater than zero, for example cpu: 250m or memory: 128Mi"
	Requests corev1.ResourceList `json:"requests,omitempty"`

	// limits are what a Pod may use at the most: cpu and memory. A memory limit
	// is 32Mi at the least.
	// +optional
	// +kubebuilder:validation:MaxProperties=3
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['cpu', 'memory'])",message="only cpu and memory can be limited: remove the others"
	// +kubebuilder:validation:XValidation:rule="self.all(k, isQuantity(string(self[k])) && quantity(string(self[k])).isGreaterThan(quantity('0')))",message="each must be a quantity greater than zero, for example cpu: 250m or memory: 128Mi"
	// +kubebuilder:validation:XValidation:rule="!('memory' in self) || !isQuantity(string(self['memory'])) || quantity(string(self['memory'])).compareTo(quantity('32Mi')) >= 0",message="memory must be at least 32Mi, which is what the server needs to start; without a unit it is in bytes, so write for example 256Mi"
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// WebhookStatus is a webhook that has been made.
type WebhookStatus struct {
	// name of the webhook.
	// +required
	Name string `json:"name"`

	// secretName is the name of the Secret with the secret that its messages are signed with.
	// +optional
	SecretName string `json:"secretName,omitempty"`

	// waiting is how many messages are not delivered yet.
	// +optional
	Waiting int64 `json:"waiting,omitempty"`

	// deadLetters is how many messages were given up: they can be sent again.
	// +optional
	DeadLetters int64 `json:"deadLetters,omitempty"`

	// lastFailure is why the last of their attempts failed.
	// +optional
	LastFailure string `json:"lastFailure,omitempty"`
}

// LeaderboardStatus is what the operator has seen and done.
type LeaderboardStatus struct {
	// conditions tell how far the operator has come: Ready, SchemaReady,
	// KeyspaceReady, WorkloadAvailable, and Reconciling or Stalled while true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +default=[{"type": "Ready", "status": "Unknown", "reason": "Pending", "message": "Waiting for the operator", "lastTransitionTime": "1970-01-01T00:00:00Z"}]
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the operator has
	// worked on last.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// lastHandledReconcile is the value of the annotation games.leaderboard.dev/reconcile that
	// the operator has worked on last.
	// +optional
	LastHandledReconcile string `json:"lastHandledReconcile,omitempty"`

	// className is the class that holds this game's data.
	// +optional
	ClassName string `json:"className,omitempty"`

	// tenant is the name of this game's schema, roles and keys in the stores. It is
	// recorded before they are made, and never changes.
	// +optional
	Tenant string `json:"tenant,omitempty"`

	// placement is where this game's data is. It is recorded before anything is made
	// there, and changes only if the platform team approves it.
	// +optional
	Placement *Placement `json:"placement,omitempty"`

	// schemaCreated says that the schema has been made: one that is missing from then
	// on has been lost, and is not made again unless the platform team approves it.
	// +optional
	SchemaCreated bool `json:"schemaCreated,omitempty"`

	// endpoint is the base URL of the REST API.
	// +optional
	Endpoint string `json:"endpoint,omitempty"`

	// serviceAccounts are those that have been made.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	ServiceAccounts []ServiceAccountStatus `json:"serviceAccounts,omitempty"`

	// webhooks are those that have been made, and how far their messages are.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Webhooks []WebhookStatus `json:"webhooks,omitempty"`

	// seasons tells of each window which season is open, and which was closed last.
	// +optional
	// +listType=map
	// +listMapKey=board
	// +listMapKey=window
	// +kubebuilder:validation:MaxItems=520
	Seasons []SeasonStatus `json:"seasons,omitempty"`

	// refolds are the boards that are not served with the order, scoring and columns of the spec
	// yet, and those that cannot be.
	// +optional
	// +listType=map
	// +listMapKey=board
	// +kubebuilder:validation:MaxItems=64
	Refolds []RefoldStatus `json:"refolds,omitempty"`

	// boards is the number of boards, global included.
	// +optional
	Boards int32 `json:"boards,omitempty"`

	// replicas is the number of server Pods.
	// +optional
	Replicas int32 `json:"replicas"`

	// readyReplicas is the number of server Pods that serve.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// selector selects the server Pods, for autoscalers.
	// +optional
	Selector string `json:"selector,omitempty"`
}

// ServiceAccountStatus is where a service account has its credentials.
type ServiceAccountStatus struct {
	// name is the account's name.
	// +required
	Name string `json:"name"`

	// secretName is the Secret with client-id, client-secret and token-url.
	// +required
	SecretName string `json:"secretName"`
}

// SeasonStatus is where a window of a board is.
type SeasonStatus struct {
	// board is the board's name.
	// +required
	Board string `json:"board"`

	// window is the window's name.
	// +required
	Window string `json:"window"`

	// season is the one that is open; left out while none is.
	// +optional
	Season int32 `json:"season,omitempty"`

	// opensAt is when the open season began, or where none is open, the next one will.
	// +optional
	OpensAt *metav1.Time `json:"opensAt,omitempty"`

	// closesAt is when that season ends: the next reset.
	// +optional
	ClosesAt *metav1.Time `json:"closesAt,omitempty"`

	// lastClosed is the last season whose results are final.
	// +optional
	LastClosed int32 `json:"lastClosed,omitempty"`

	// lastEntries is how many entries its results have.
	// +optional
	LastEntries int64 `json:"lastEntries,omitempty"`
}

// RefoldStep is what is done to give a board another order, scoring or columns.
type RefoldStep string

// The steps, in their order.
const (
	// RefoldWaiting: the servers have not begun yet.
	RefoldWaiting RefoldStep = "Waiting"
	// RefoldFolding: they read the scores.
	RefoldFolding RefoldStep = "Folding"
	// RefoldRanking: they make the ranking, and catch up with what has come since.
	RefoldRanking RefoldStep = "Ranking"
	// RefoldRefused: it cannot be done as things are; the board stays as it was.
	RefoldRefused RefoldStep = "Refused"
)

// RefoldStatus is how far a board is on the way to another order, scoring or columns.
type RefoldStatus struct {
	// board is the board's name.
	// +required
	Board string `json:"board"`

	// order, scoring and columns are those that it is served with, until all is done.
	// +required
	Order Order `json:"order"`

	// scoring: see order.
	// +required
	Scoring Scoring `json:"scoring"`

	// columns: see order; each with its name and order, such as "deaths Ascending".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	Columns []string `json:"columns,omitempty"`

	// step is what is done: Waiting for the servers to begin, Folding the scores, making the
	// Ranking; or Refused.
	// +required
	Step RefoldStep `json:"step"`

	// events is how many scores of the board there were when it began.
	// +optional
	Events int64 `json:"events,omitempty"`

	// folded is how many of them have been read.
	// +optional
	Folded int64 `json:"folded,omitempty"`

	// message says why it is refused, and what to do.
	// +optional
	Message string `json:"message,omitempty"`
}

// Leaderboard is one game's leaderboard service: its REST endpoint, its scores
// and its accounts.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:resource:shortName=lb,categories=games
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.status.endpoint`
// +kubebuilder:printcolumn:name="Boards",type=integer,JSONPath=`.status.boards`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.readyReplicas`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.status.className`,priority=1
// +kubebuilder:printcolumn:name="Tenant",type=string,JSONPath=`.status.tenant`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 40",fieldPath=".metadata",message="metadata.name must be at most 40 characters, as names of Services and Pods are made from it"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.className) || !has(self.status) || !has(self.status.className) || self.spec.className == self.status.className",fieldPath=".spec.className",message="className cannot be changed, as the data lives in the class's stores: set it to what status.className says, or create another Leaderboard instead"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$')",fieldPath=".metadata",message="metadata.name must be lower-case letters, digits and -, and begin with a letter, as it becomes part of a host name"
type Leaderboard struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what the game team asks for.
	// +optional
	// +default={}
	Spec LeaderboardSpec `json:"spec,omitzero"`

	// status is what the operator has seen and done.
	// +optional
	// +default={}
	Status LeaderboardStatus `json:"status,omitzero"`
}

// LeaderboardList is a list of Leaderboards.
//
// +kubebuilder:object:root=true
type LeaderboardList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []Leaderboard `json:"items"`
}
