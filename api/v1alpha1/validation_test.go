package v1alpha1_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// refusal is a spec that must be refused when it is applied.
type refusal struct {
	name    string
	spec    string
	field   string // the field that the API server has to name
	message string // what it has to say, in part
}

var leaderboardRefusals = []refusal{
	{"board without a name", `{boards: [{order: Ascending}]}`, "spec.boards[0].name", "Required value"},
	{"board with an empty name", `{boards: [{name: ""}]}`, "spec.boards[0].name", "at least 1 chars long"},
	{"board named global", `{boards: [{name: global}]}`, "spec.boards[0].name", "choose another name"},
	{"board in capitals", `{boards: [{name: Arena}]}`, "spec.boards[0].name", "must be lower-case letters, digits, - or _"},
	{"board with a space", `{boards: [{name: time trial}]}`, "spec.boards[0].name", "for example time-trial"},
	{"board beginning with -", `{boards: [{name: -arena}]}`, "spec.boards[0].name", "begin and end with a letter or digit"},
	{"board ending with _", `{boards: [{name: arena_}]}`, "spec.boards[0].name", "begin and end with a letter or digit"},
	{"board with a brace", `{boards: [{name: "a{b}"}]}`, "spec.boards[0].name", "must be lower-case letters"},
	{"board with a colon", `{boards: [{name: "a:b"}]}`, "spec.boards[0].name", "must be lower-case letters"},
	{"board with a line break", `{boards: [{name: "arena\n"}]}`, "spec.boards[0].name", "must be lower-case letters"},
	{"board with an umlaut", `{boards: [{name: "bär"}]}`, "spec.boards[0].name", "must be lower-case letters"},
	{"board with a long name", `{boards: [{name: ` + strings.Repeat("a", 41) + `}]}`, "spec.boards[0].name", "may not be more than 40"},
	{"two boards of one name", `{boards: [{name: arena}, {name: coins}, {name: arena, order: Ascending}]}`, "spec.boards[2]", "Duplicate value"},
	{"too many boards", `{boards: [` + boardList(65) + `]}`, "spec.boards", "must have at most 64 items"},
	{"boards that are no list", `{boards: arena}`, "spec.boards", "must be of type array"},
	{"unknown order", `{boards: [{name: arena, order: Up}]}`, "spec.boards[0].order", `supported values: "Descending", "Ascending"`},
	{"order in lower case", `{boards: [{name: arena, order: descending}]}`, "spec.boards[0].order", `supported values: "Descending", "Ascending"`},
	{"unknown scoring", `{boards: [{name: arena, scoring: Average}]}`, "spec.boards[0].scoring", `supported values: "Best", "First", "Latest", "Sum", "Count"`},
	{"score bounds the wrong way round", `{boards: [{name: arena, minScore: 10, maxScore: 9}]}`, "spec.boards[0].minScore", "lower minScore or raise maxScore"},
	{"maxScore that a double cannot hold", `{boards: [{name: arena, maxScore: 9007199254740992}]}`, "spec.boards[0].maxScore", "should be less than or equal to 9007199254740991"},
	{"minScore that a double cannot hold", `{boards: [{name: arena, minScore: -9007199254740992}]}`, "spec.boards[0].minScore", "should be greater than or equal to -9007199254740991"},
	{"minScore that is a fraction", `{boards: [{name: arena, minScore: 1.5}]}`, "spec.boards[0].minScore", "must be of type int64"},
	{"minScore that is a string", `{boards: [{name: arena, minScore: "1"}]}`, "spec.boards[0].minScore", "must be of type integer"},
	{"an Ascending board toward global", `{boards: [{name: laps, order: Ascending, countsTowardGlobal: true}]}`, "spec.boards[0].countsTowardGlobal", "set it to false or leave it out"},
	{"countsTowardGlobal that is a string", `{boards: [{name: arena, countsTowardGlobal: "yes"}]}`, "spec.boards[0].countsTowardGlobal", "must be of type boolean"},

	{"unknown owners", `{boards: [{name: clans, owners: Teams}]}`, "spec.boards[0].owners", `supported values: "Players", "External"`},
	{"owners whose scores nobody may submit", `{boards: [{name: clans, owners: External}]}`, "spec.boards", "needs a service account with the scope submit"},
	{"owners that submit by themselves", `{boards: [{name: clans, owners: External, submitters: Players}], serviceAccounts: [{name: match-server, scopes: [submit]}]}`, "spec.boards[0].submitters", "set submitters to Servers, or leave it out"},
	{"owners that sign", `{boards: [{name: clans, owners: External, signatures: Required}], serviceAccounts: [{name: match-server, scopes: [submit]}]}`, "spec.boards[0].signatures", "leave signatures out"},
	{"owners on global", `{boards: [{name: clans, owners: External, countsTowardGlobal: true}], serviceAccounts: [{name: match-server, scopes: [submit]}]}`, "spec.boards[0].countsTowardGlobal", "cannot count toward global, which ranks players"},
	{"unknown submitters", `{boards: [{name: arena, submitters: Everyone}]}`, "spec.boards[0].submitters", `supported values: "Players", "Servers"`},
	{"only servers submit, and there are none", `{boards: [{name: arena, submitters: Servers}]}`, "spec.boards", "needs a service account with the scope submit"},
	{"only servers submit, and none may", `{boards: [{name: arena, submitters: Servers}], serviceAccounts: [{name: match-server, scopes: [read]}]}`, "spec.boards", "add one to serviceAccounts, or set submitters to Players"},
	{"only servers submit to global, and there are none", `{global: {submitters: Servers}}`, "spec.global", "needs a service account with the scope submit"},
	{"unknown signatures", `{boards: [{name: arena, signatures: Optional}]}`, "spec.boards[0].signatures", `supported values: "None", "Required"`},
	{"signatures of servers", `{boards: [{name: arena, signatures: Required, submitters: Servers}], serviceAccounts: [{name: match-server, scopes: [submit]}]}`, "spec.boards[0].signatures", "leave signatures out"},
	{"signatures of servers on global", `{global: {signatures: Required, submitters: Servers}, serviceAccounts: [{name: match-server, scopes: [submit]}]}`, "spec.global.signatures", "leave signatures out"},
	{"no improvement", `{boards: [{name: arena, maxImprovement: 0}]}`, "spec.boards[0].maxImprovement", "should be greater than or equal to 1"},
	{"maxImprovement that a double cannot hold", `{boards: [{name: arena, maxImprovement: 9007199254740992}]}`, "spec.boards[0].maxImprovement", "should be less than or equal to 9007199254740991"},
	{"improvement of a sum", `{boards: [{name: arena, scoring: Sum, maxImprovement: 5}]}`, "spec.boards[0].maxImprovement", "with Sum it is the score itself, which maxScore and minScore bound"},
	{"improvement of a count", `{boards: [{name: arena, scoring: Count, maxImprovement: 5}]}`, "spec.boards[0].maxImprovement", "leave maxImprovement out"},
	{"improvement of the first", `{boards: [{name: arena, scoring: First, maxImprovement: 5}]}`, "spec.boards[0].maxImprovement", "with First nothing improves"},
	{"limits that are empty", `{boards: [{name: arena, limits: {}}]}`, "spec.boards[0].limits", "should have at least 1 properties"},
	{"no submission a minute", `{boards: [{name: arena, limits: {perMinute: 0}}]}`, "spec.boards[0].limits.perMinute", "should be greater than or equal to 1"},
	{"too many submissions a minute", `{boards: [{name: arena, limits: {perMinute: 101}}]}`, "spec.boards[0].limits.perMinute", "should be less than or equal to 100"},
	{"no cooldown", `{boards: [{name: arena, limits: {cooldownSeconds: 0}}]}`, "spec.boards[0].limits.cooldownSeconds", "should be greater than or equal to 1"},
	{"a cooldown of more than a week", `{boards: [{name: arena, limits: {cooldownSeconds: 604801}}]}`, "spec.boards[0].limits.cooldownSeconds", "should be less than or equal to 604800"},
	{"no attempts", `{boards: [{name: arena, limits: {attempts: [{window: all, max: 0}]}}]}`, "spec.boards[0].limits.attempts[0].max", "should be greater than or equal to 1"},
	{"a list without attempts", `{boards: [{name: arena, limits: {attempts: []}}]}`, "spec.boards[0].limits.attempts", "should have at least 1 items"},
	{"attempts of no window", `{boards: [{name: arena, windows: [{name: daily, schedule: daily}], limits: {attempts: [{window: weekly, max: 1}]}}]}`, "spec.boards[0].limits", "must name windows that the board has"},
	{"attempts of all time without its ranking", `{boards: [{name: arena, allTime: false, windows: [{name: daily, schedule: daily}], limits: {attempts: [{window: all, max: 1}]}}]}`, "spec.boards[0].limits", "must name windows that the board has"},
	{"attempts of a window twice", `{boards: [{name: arena, limits: {attempts: [{window: all, max: 1}, {window: all, max: 2}]}}]}`, "spec.boards[0].limits.attempts[1]", "Duplicate value"},
	{"attempts of no window of global", `{global: {limits: {attempts: [{window: daily, max: 1}]}}}`, "spec.global.limits", "must name windows that the board has"},
	{"limits of a global that takes nothing", `{global: {direct: false, limits: {perMinute: 1}}}`, "spec.global.limits", "nothing to limit"},
	{"limits of a board that takes nothing at once", `{boards: [{name: arena, review: {when: Always}, limits: {perMinute: 1}}]}`, "spec.boards[0].limits", "taken at once"},
	{"review of nothing", `{boards: [{name: arena, review: {}}]}`, "spec.boards[0].review.when", "Required value"},
	{"review of some", `{boards: [{name: arena, review: {when: Sometimes}}]}`, "spec.boards[0].review.when", `supported values: "Always", "Suspicious"`},
	{"review without a rule", `{boards: [{name: arena, review: {when: Suspicious}}]}`, "spec.boards[0].review.when", "set betterThan or improvementAbove"},
	{"review of everything with a bound of improvements", `{boards: [{name: arena, review: {when: Always, improvementAbove: 5}}]}`, "spec.boards[0].review.improvementAbove", "leave improvementAbove out"},
	{"review of no improvement", `{boards: [{name: arena, review: {when: Suspicious, improvementAbove: 0}}]}`, "spec.boards[0].review.improvementAbove", "should be greater than or equal to 1"},
	{"review of the improvement of a sum", `{boards: [{name: arena, scoring: Sum, review: {when: Suspicious, improvementAbove: 5}}]}`, "spec.boards[0].review.improvementAbove", "set betterThan"},
	{"improvements that are refused and held back", `{boards: [{name: arena, maxImprovement: 9, review: {when: Suspicious, improvementAbove: 5}}]}`, "spec.boards[0].review.improvementAbove", "set one of them"},
	{"review of improvements on global", `{global: {review: {when: Suspicious, improvementAbove: 5}}}`, "spec.global.review.improvementAbove", "set betterThan"},
	{"review of everything with a rule", `{boards: [{name: arena, review: {when: Always, betterThan: 5}}]}`, "spec.boards[0].review.betterThan", "leave betterThan out"},
	{"review with a score that a double cannot hold", `{global: {review: {when: Suspicious, betterThan: 9007199254740992}}}`, "spec.global.review.betterThan", "should be less than or equal to 9007199254740991"},
	{"review of servers", `{boards: [{name: arena, submitters: Servers, review: {when: Always}}], serviceAccounts: [{name: match-server, scopes: [submit]}]}`, "spec.boards[0].review", "leave review out"},
	{"review of servers on global", `{global: {submitters: Servers, review: {when: Always}}, serviceAccounts: [{name: match-server, scopes: [submit]}]}`, "spec.global.review", "leave review out"},
	{"service account without a name", `{serviceAccounts: [{scopes: [read]}]}`, "spec.serviceAccounts[0].name", "Required value"},
	{"service account with a short name", `{serviceAccounts: [{name: ab, scopes: [read]}]}`, "spec.serviceAccounts[0].name", "at least 3 chars long"},
	{"service account with a long name", `{serviceAccounts: [{name: ` + strings.Repeat("a", 33) + `, scopes: [read]}]}`, "spec.serviceAccounts[0].name", "may not be more than 32"},
	{"service account with an underscore", `{serviceAccounts: [{name: match_server, scopes: [read]}]}`, "spec.serviceAccounts[0].name", "for example match-server"},
	{"service account ending with -", `{serviceAccounts: [{name: match-, scopes: [read]}]}`, "spec.serviceAccounts[0].name", "begin and end with a letter or digit"},
	{"service account with a line break", `{serviceAccounts: [{name: "match
", scopes: [read]}]}`, "spec.serviceAccounts[0].name", "must be lower-case letters"},
	{"service account without scopes", `{serviceAccounts: [{name: match-server}]}`, "spec.serviceAccounts[0].scopes", "Required value"},
	{"service account with no scope", `{serviceAccounts: [{name: match-server, scopes: []}]}`, "spec.serviceAccounts[0].scopes", "at least 1 items"},
	{"service account with an unknown scope", `{serviceAccounts: [{name: match-server, scopes: [write]}]}`, "spec.serviceAccounts[0].scopes[0]", `supported values: "submit", "read", "moderate", "admin"`},
	{"service account with a scope twice", `{serviceAccounts: [{name: match-server, scopes: [read, read]}]}`, "spec.serviceAccounts[0].scopes[1]", "Duplicate value"},
	{"two service accounts of one name", `{serviceAccounts: [{name: match-server, scopes: [read]}, {name: match-server, scopes: [submit]}]}`, "spec.serviceAccounts[1]", "Duplicate value"},
	{"too many service accounts", `{serviceAccounts: [` + accountList(17) + `]}`, "spec.serviceAccounts", "must have at most 16 items"},

	{"webhook without a name", `{webhooks: [{url: "https://example.com/", events: [SeasonClosed]}]}`, "spec.webhooks[0].name", "Required value"},
	{"webhook without a URL", `{webhooks: [{name: results, events: [SeasonClosed]}]}`, "spec.webhooks[0].url", "Required value"},
	{"webhook with an underscore", `{webhooks: [{name: my_results, url: "https://example.com/", events: [SeasonClosed]}]}`, "spec.webhooks[0].name", "for example results"},
	{"webhook with a long name", `{webhooks: [{name: ` + strings.Repeat("a", 33) + `, url: "https://example.com/", events: [SeasonClosed]}]}`, "spec.webhooks[0].name", "may not be more than 32"},
	{"webhook without a scheme", `{webhooks: [{name: results, url: example.com, events: [SeasonClosed]}]}`, "spec.webhooks[0].url", "must be a URL without a username"},
	{"webhook of another scheme", `{webhooks: [{name: results, url: "ftp://example.com/", events: [SeasonClosed]}]}`, "spec.webhooks[0].url", "must be a URL without a username"},
	{"webhook with a password", `{webhooks: [{name: results, url: "https://me:secret@example.com/", events: [SeasonClosed]}]}`, "spec.webhooks[0].url", "must be a URL without a username"},
	{"webhook with a fragment", `{webhooks: [{name: results, url: "https://example.com/#x", events: [SeasonClosed]}]}`, "spec.webhooks[0].url", "must be a URL without a username"},
	{"webhook with a line break", `{webhooks: [{name: results, url: "https://example.com/\n", events: [SeasonClosed]}]}`, "spec.webhooks[0].url", "must be a URL without a username"},
	{"webhook without events", `{webhooks: [{name: results, url: "https://example.com/"}]}`, "spec.webhooks[0].events", "Required value"},
	{"webhook with no event", `{webhooks: [{name: results, url: "https://example.com/", events: []}]}`, "spec.webhooks[0].events", "at least 1 items"},
	{"webhook with an unknown event", `{webhooks: [{name: results, url: "https://example.com/", events: [ScoreSubmitted]}]}`, "spec.webhooks[0].events[0]", `supported values: "EntryUnderReview", "SeasonClosed"`},
	{"webhook with an event twice", `{webhooks: [{name: results, url: "https://example.com/", events: [SeasonClosed, SeasonClosed]}]}`, "spec.webhooks[0].events[1]", "Duplicate value"},
	{"webhook with too many entries", `{webhooks: [{name: results, url: "https://example.com/", events: [SeasonClosed], top: 101}]}`, "spec.webhooks[0].top", "should be less than or equal to 100"},
	{"two webhooks of one name", `{webhooks: [{name: results, url: "https://a.example/", events: [SeasonClosed]}, {name: results, url: "https://b.example/", events: [SeasonClosed]}]}`, "spec.webhooks[1]", "Duplicate value"},

	{"empty className", `{className: ""}`, "spec.className", "at least 1 chars long"},
	{"long className", `{className: ` + strings.Repeat("c", 64) + `}`, "spec.className", "may not be more than 63"},
	{"a page of too many", `{http: {maxPageSize: 1001}}`, "spec.http.maxPageSize", "less than or equal to 1000"},
	{"a page for parts of a second", `{http: {pageMaxAge: 500ms}}`, "spec.http.pageMaxAge", "in whole seconds from 0s to 1h"},
	{"keys for a moment", `{retention: {idempotencyKeys: 1s}}`, "spec.retention.idempotencyKeys", "from 1m to 720h"},
	{"a log of everything", `{logLevel: trace}`, "spec.logLevel", "Unsupported value"},
	{"negative replicas", `{replicas: -1}`, "spec.replicas", "should be greater than or equal to 0"},
	{"too many replicas", `{replicas: 101}`, "spec.replicas", "should be less than or equal to 100"},
	{"replicas that are a string", `{replicas: two}`, "spec.replicas", "must be of type integer"},
	{"replicas and autoscaling", `{replicas: 2, autoscaling: {maxReplicas: 4}}`, "spec.replicas", "set either replicas or autoscaling, not both"},
	{"autoscaling without a maximum", `{autoscaling: {minReplicas: 2}}`, "spec.autoscaling.maxReplicas", "Required value"},
	{"autoscaling the wrong way round", `{autoscaling: {minReplicas: 5, maxReplicas: 4}}`, "spec.autoscaling.minReplicas", "lower minReplicas or raise maxReplicas"},
	{"autoscaling below the default minimum", `{autoscaling: {maxReplicas: 1}}`, "spec.autoscaling.minReplicas", "2 where it is left out"},
	{"autoscaling from zero", `{autoscaling: {minReplicas: 0, maxReplicas: 2}}`, "spec.autoscaling.minReplicas", "should be greater than or equal to 1"},
	{"autoscaling on too little CPU", `{autoscaling: {maxReplicas: 4, targetCPUUtilizationPercentage: 9}}`, "spec.autoscaling.targetCPUUtilizationPercentage", "should be greater than or equal to 10"},
	{"autoscaling on too much CPU", `{autoscaling: {maxReplicas: 4, targetCPUUtilizationPercentage: 101}}`, "spec.autoscaling.targetCPUUtilizationPercentage", "should be less than or equal to 100"},

	{"request of another resource", `{resources: {requests: {nvidia.com/gpu: 1}}}`, "spec.resources.requests", "only cpu and memory can be requested"},
	{"limit of another resource", `{resources: {limits: {ephemeral-storage: 1Gi}}}`, "spec.resources.limits", "only cpu and memory can be limited"},
	{"request over its limit", `{resources: {requests: {memory: 1Gi}, limits: {memory: 512Mi}}}`, "spec.resources.requests", "lower the request or raise the limit"},
	{"quantity with a wrong unit", `{resources: {requests: {memory: 64MB}}}`, "spec.resources.requests", "for example cpu: 250m or memory: 128Mi"},
	{"quantity that is none", `{resources: {limits: {cpu: lots}}}`, "spec.resources.limits", "for example cpu: 250m or memory: 128Mi"},
	{"negative quantity", `{resources: {requests: {cpu: -1}}}`, "spec.resources.requests", "greater than zero"},
	{"memory limit without a unit", `{resources: {limits: {memory: 256}}}`, "spec.resources.limits", "without a unit it is in bytes"},

	{"short tokenTTL", `{auth: {tokenTTL: 59s}}`, "spec.auth.tokenTTL", "from 1m to 24h"},
	{"long tokenTTL", `{auth: {tokenTTL: 25h}}`, "spec.auth.tokenTTL", "from 1m to 24h"},
	{"tokenTTL without a unit", `{auth: {tokenTTL: "3600"}}`, "spec.auth.tokenTTL", "for example 1h or 90m"},
	{"tokenTTL in days", `{auth: {tokenTTL: 1d}}`, "spec.auth.tokenTTL", "for example 1h or 90m"},
	{"tokenTTL that is a number", `{auth: {tokenTTL: 3600}}`, "spec.auth.tokenTTL", "must be of type string"},
	{"negative tokenTTL", `{auth: {tokenTTL: -1h}}`, "spec.auth.tokenTTL", "from 1m to 24h"},
	{"tokenTTL past what a duration holds", `{auth: {tokenTTL: 9999999999999h}}`, "spec.auth.tokenTTL", "from 1m to 24h"},
	{"short retention", `{retention: {events: 23h59m}}`, "spec.retention.events", "from 24h to 876000h"},
	{"retention in days", `{retention: {events: 90d}}`, "spec.retention.events", "for example 2160h for 90 days"},
	{"retention past what a server takes", `{retention: {events: 876001h}}`, "spec.retention.events", "from 24h to 876000h"},
	{"short refreshTokenTTL", `{auth: {refreshTokenTTL: 59m}}`, "spec.auth.refreshTokenTTL", "from 1h to 8760h"},
	{"long refreshTokenTTL", `{auth: {refreshTokenTTL: 8761h}}`, "spec.auth.refreshTokenTTL", "from 1h to 8760h"},
	{"refreshTokenTTL in days", `{auth: {refreshTokenTTL: 30d}}`, "spec.auth.refreshTokenTTL", "for example 720h"},
	{"short renameEvery", `{auth: {renameEvery: 59m}}`, "spec.auth.renameEvery", "from 1h to 8760h"},
	{"long renameEvery", `{auth: {renameEvery: 8761h}}`, "spec.auth.renameEvery", "from 1h to 8760h"},
	{"issuer that is no URL", `{auth: {issuers: [{name: store, issuer: id.example.com, audience: x}]}}`, "spec.auth.issuers[0].issuer", "for example https://id.example.com"},
	{"issuer with a query", `{auth: {issuers: [{name: store, issuer: "https://id.example.com/?x=1", audience: x}]}}`, "spec.auth.issuers[0].issuer", "without a query"},
	{"issuer twice", `{auth: {issuers: [{name: a, issuer: "https://id.example.com", audience: x}, {name: b, issuer: "https://id.example.com", audience: x}]}}`, "spec.auth.issuers", "each issuer once"},
	{"issuer without an audience", `{auth: {issuers: [{name: store, issuer: "https://id.example.com"}]}}`, "spec.auth.issuers[0].audience", "Required value"},
	{"audience that the kubelet would expand", `{auth: {issuers: [{name: store, issuer: "https://id.example.com", audience: "$(X)"}]}}`, "spec.auth.issuers[0].audience", "must not contain $"},
	{"ServiceAccount that is no name", `{serviceAccounts: [{name: match-server, scopes: [submit], kubernetes: [{serviceAccount: "a:b"}]}]}`, "spec.serviceAccounts[0].kubernetes[0].serviceAccount", "for example match-server"},
	{"namespace that is no name", `{serviceAccounts: [{name: match-server, scopes: [submit], kubernetes: [{serviceAccount: a, namespace: "b:c"}]}]}`, "spec.serviceAccounts[0].kubernetes[0].namespace", "name of a namespace"},
	{"cheap passwordCost", `{auth: {passwordCost: 9}}`, "spec.auth.passwordCost", "should be greater than or equal to 10"},
	{"dear passwordCost", `{auth: {passwordCost: 15}}`, "spec.auth.passwordCost", "should be less than or equal to 14"},
	{"a reserved name with a space", `{auth: {reservedNames: [the admin]}}`, "spec.auth.reservedNames[0]", "without spaces, commas and $"},
	{"two reserved names in one", `{auth: {reservedNames: ["admin,root"]}}`, "spec.auth.reservedNames[0]", "without spaces, commas and $"},
	{"a reserved name that no name can be", `{auth: {reservedNames: [x]}}`, "spec.auth.reservedNames[0]", "should be at least 2 chars long"},
	{"a reserved name twice", `{auth: {reservedNames: [admin, admin]}}`, "spec.auth.reservedNames[1]", "Duplicate value"},

	{"too many decimals", `{boards: [{name: arena, decimals: 10}]}`, "spec.boards[0].decimals", "should be less than or equal to 9"},
	{"bounds of global the wrong way around", `{global: {minScore: 2, maxScore: 1}}`, "spec.global.minScore", "lower minScore or raise maxScore"},

	{"ranks that are none", `{boards: [{name: arena, ranks: Standard}]}`, "spec.boards[0].ranks", `supported values: "Ordinal", "Competition", "Dense"`},
	{"five columns", `{boards: [{name: arena, columns: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]}]}`, "spec.boards[0].columns", "must have at most 4 items"},
	{"column without a name", `{boards: [{name: arena, columns: [{order: Ascending}]}]}`, "spec.boards[0].columns[0].name", "Required value"},
	{"column named score", `{boards: [{name: arena, columns: [{name: score}]}]}`, "spec.boards[0].columns[0].name", "choose another name"},
	{"column in upper case", `{boards: [{name: arena, columns: [{name: Deaths}]}]}`, "spec.boards[0].columns[0].name", "for example deaths"},
	{"column twice", `{boards: [{name: arena, columns: [{name: a}, {name: a}]}]}`, "spec.boards[0].columns", "columns must have different names"},
	{"bounds of a column the wrong way around", `{boards: [{name: arena, columns: [{name: a, min: 2, max: 1}]}]}`, "spec.boards[0].columns[0].min", "lower min or raise max"},
	{"column beyond what a number holds", `{boards: [{name: arena, columns: [{name: a, max: 9007199254740992}]}]}`, "spec.boards[0].columns[0].max", "should be less than or equal to 9007199254740991"},
	{"column with too many decimals", `{boards: [{name: arena, columns: [{name: a, decimals: 10}]}]}`, "spec.boards[0].columns[0].decimals", "should be less than or equal to 9"},
	{"columns of a sum", `{boards: [{name: arena, scoring: Sum, columns: [{name: a}]}]}`, "spec.boards[0].columns", "set scoring to Best, First or Latest"},
	{"columns of a count", `{boards: [{name: arena, scoring: Count, columns: [{name: a}]}]}`, "spec.boards[0].columns", "set scoring to Best, First or Latest"},

	{"metadata of no bytes", `{boards: [{name: arena, metadata: {maxBytes: 0}}]}`, "spec.boards[0].metadata.maxBytes", "should be greater than or equal to 1"},
	{"metadata of too many bytes", `{boards: [{name: arena, metadata: {maxBytes: 2049}}]}`, "spec.boards[0].metadata.maxBytes", "should be less than or equal to 2048"},
	{"metadata with a schema that is no object", `{boards: [{name: arena, metadata: {schema: "{}"}}]}`, "spec.boards[0].metadata.schema", "must be of type object"},

	{"window without a name", `{boards: [{name: arena, windows: [{schedule: daily}]}]}`, "spec.boards[0].windows[0].name", "Required value"},
	{"window named all", `{boards: [{name: arena, windows: [{name: all, schedule: daily}]}]}`, "spec.boards[0].windows[0].name", "choose another name, or set allTime"},
	{"window in upper case", `{boards: [{name: arena, windows: [{name: Daily, schedule: daily}]}]}`, "spec.boards[0].windows[0].name", "for example weekly"},
	{"window twice", `{boards: [{name: arena, windows: [{name: w, schedule: daily}, {name: w, schedule: weekly}]}]}`, "spec.boards[0].windows[1]", "Duplicate value"},
	{"nine windows", `{boards: [{name: arena, windows: [` + windowList(9) + `]}]}`, "spec.boards[0].windows", "must have at most 8 items"},
	{"window without a schedule", `{boards: [{name: arena, windows: [{name: w}]}]}`, "spec.boards[0].windows[0]", "needs either a schedule"},
	{"window with a schedule and a start", `{boards: [{name: arena, windows: [{name: w, schedule: daily, start: "2026-01-01T00:00:00Z", end: "2026-02-01T00:00:00Z"}]}]}`, "spec.boards[0].windows[0]", "needs either a schedule"},
	{"window without an end", `{boards: [{name: arena, windows: [{name: w, start: "2026-01-01T00:00:00Z"}]}]}`, "spec.boards[0].windows[0].end", "start and end belong together"},
	{"window that ends before its start", `{boards: [{name: arena, windows: [{name: w, start: "2026-02-01T00:00:00Z", end: "2026-01-01T00:00:00Z"}]}]}`, "spec.boards[0].windows[0].end", "at least one minute after start"},
	{"window with a start and a zone", `{boards: [{name: arena, windows: [{name: w, timeZone: Asia/Tokyo, start: "2026-01-01T00:00:00Z", end: "2026-02-01T00:00:00Z"}]}]}`, "spec.boards[0].windows[0].timeZone", "leave timeZone out"},
	{"start that is no time", `{boards: [{name: arena, windows: [{name: w, start: tomorrow, end: "2026-02-01T00:00:00Z"}]}]}`, "spec.boards[0].windows[0].start", "must be of type date-time"},
	{"schedule every five minutes", `{boards: [{name: arena, windows: [{name: w, schedule: "*/5 * * * *"}]}]}`, "spec.boards[0].windows[0].schedule", "the first of which is one minute"},
	{"schedule of six fields", `{boards: [{name: arena, windows: [{name: w, schedule: "0 0 0 * * *"}]}]}`, "spec.boards[0].windows[0].schedule", "for example 0 6 * * 1"},
	{"schedule that is a word", `{boards: [{name: arena, windows: [{name: w, schedule: yearly}]}]}`, "spec.boards[0].windows[0].schedule", "must be daily, weekly, monthly, or five fields"},
	{"time zone of the machine", `{boards: [{name: arena, windows: [{name: w, schedule: daily, timeZone: Local}]}]}`, "spec.boards[0].windows[0].timeZone", "must be an IANA name"},
	{"time zone with a space", `{boards: [{name: arena, windows: [{name: w, schedule: daily, timeZone: "New York"}]}]}`, "spec.boards[0].windows[0].timeZone", "for example Europe/Berlin"},
	{"no results kept", `{boards: [{name: arena, windows: [{name: w, schedule: daily, keep: 0}]}]}`, "spec.boards[0].windows[0].keep", "should be greater than or equal to 1"},
	{"too many results kept", `{boards: [{name: arena, windows: [{name: w, schedule: daily, keep: 1001}]}]}`, "spec.boards[0].windows[0].keep", "should be less than or equal to 1000"},
	{"neither all time nor windows", `{boards: [{name: arena, allTime: false}]}`, "spec.boards[0].allTime", "add one, or leave allTime out"},
	{"window of global every minute", `{global: {windows: [{name: w, schedule: "* * * * *"}]}}`, "spec.global.windows[0].schedule", "the first of which is one minute"},

	{"attribute in upper case", `{attributes: [{name: Country, pattern: "..", }]}`, "spec.attributes[0].name", "for example country"},
	{"attribute without values", `{attributes: [{name: country}]}`, "spec.attributes[0]", "needs either values"},
	{"attribute with values and a pattern", `{attributes: [{name: country, values: [DE], pattern: ".."}]}`, "spec.attributes[0]", "needs either values"},
	{"attribute with a value in it twice", `{attributes: [{name: country, values: [DE, DE]}]}`, "spec.attributes[0].values[1]", "Duplicate value"},
	{"attribute with a value with a space", `{attributes: [{name: country, values: ["D E"]}]}`, "spec.attributes[0].values[0]", "should match"},
	{"attribute twice", `{attributes: [{name: country, values: [DE]}, {name: country, values: [FR]}]}`, "spec.attributes[1]", "Duplicate value"},
	{"five attributes", `{attributes: [{name: a, pattern: .}, {name: b, pattern: .}, {name: c, pattern: .}, {name: d, pattern: .}, {name: e, pattern: .}]}`, "spec.attributes", "must have at most 4 items"},
	{"segment that is no attribute", `{attributes: [{name: country, values: [DE]}], boards: [{name: arena, segments: [region]}]}`, "spec.boards", "add it to attributes, or leave it out"},
	{"segment without attributes", `{boards: [{name: arena, segments: [country]}]}`, "spec.boards", "add it to attributes, or leave it out"},
	{"segment of global that is no attribute", `{global: {segments: [country]}}`, "spec.global", "add it to attributes, or leave it out"},
	{"segment twice", `{attributes: [{name: country, values: [DE]}], boards: [{name: arena, segments: [country, country]}]}`, "spec.boards[0].segments", "must name each attribute once"},

	{"origin with a path", `{http: {allowedOrigins: ["https://play.example.com/"]}}`, "spec.http.allowedOrigins[0]", "without a path, for example https://play.example.com"},
	{"origin without a scheme", `{http: {allowedOrigins: [play.example.com]}}`, "spec.http.allowedOrigins[0]", "must be an origin as browsers send it"},
	{"origin in upper case", `{http: {allowedOrigins: ["https://Play.example.com"]}}`, "spec.http.allowedOrigins[0]", "in lower case"},
	{"origin with a wildcard in it", `{http: {allowedOrigins: ["https://*.example.com"]}}`, "spec.http.allowedOrigins[0]", "must be an origin"},
	{"two origins in one", `{http: {allowedOrigins: ["https://a.example,https://b.example"]}}`, "spec.http.allowedOrigins[0]", "must be an origin"},
	{"origin twice", `{http: {allowedOrigins: ["*", "*"]}}`, "spec.http.allowedOrigins[1]", "Duplicate value"},

	{"exposure without a type", `{exposure: {}}`, "spec.exposure.type", "Required value"},
	{"unknown exposure", `{exposure: {type: LoadBalancer}}`, "spec.exposure.type", `supported values: "Ingress", "Service"`},
	{"unknown deletionPolicy", `{deletionPolicy: Orphan}`, "spec.deletionPolicy", `supported values: "Retain", "Delete"`},
	{"suspend that is a string", `{suspend: "true"}`, "spec.suspend", "must be of type boolean"},
}

// boardList lists n boards in YAML's flow style.
func boardList(n int) string {
	list := make([]string, 0, n)
	for i := range n {
		list = append(list, "{name: b"+strings.Repeat("x", i%30)+strings.Repeat("y", i/30)+"}")
	}
	return strings.Join(list, ", ")
}

// accountList lists n service accounts in YAML's flow style.
func accountList(n int) string {
	list := make([]string, 0, n)
	for i := range n {
		list = append(list, fmt.Sprintf("{name: server-%d, scopes: [read]}", i))
	}
	return strings.Join(list, ", ")
}

// windowList lists n windows in YAML's flow style.
func windowList(n int) string {
	list := make([]string, 0, n)
	for i := range n {
		list = append(list, fmt.Sprintf("{name: w%d, schedule: daily}", i))
	}
	return strings.Join(list, ", ")
}

func TestLeaderboardRefused(t *testing.T) {
	for _, test := range leaderboardRefusals {
		t.Run(test.name, func(t *testing.T) {
			err := cluster.Create(timeout(t), parse(t, "Leaderboard", "game", test.spec))
			requireRefused(t, err, test.field, test.message)
		})
	}
}

func TestLeaderboardNameRefused(t *testing.T) {
	for _, test := range []struct{ name, field, message string }{
		{strings.Repeat("g", 41), "metadata", "metadata.name must be at most 40 characters"},
		{"2048", "metadata", "begin with a letter"},
		{"my.game", "metadata", "metadata.name must be lower-case letters, digits and -"},
		{"Game", "metadata.name", "a lowercase RFC 1123 subdomain"}, // Kubernetes' own
	} {
		err := cluster.Create(timeout(t), parse(t, "Leaderboard", test.name, "{}"))
		requireRefused(t, err, test.field, test.message)
	}
}

// What data depends on cannot be changed once it is there.
func TestLeaderboardChangeRefused(t *testing.T) {
	for _, test := range []struct {
		name, spec, changed, field, message string
	}{
		{"another class", `{className: fast}`, `{className: slow}`, "spec.className", "create another Leaderboard instead"},
		{"other owners", `{boards: [{name: clans}]}`, `{boards: [{name: clans, owners: External}], serviceAccounts: [{name: match-server, scopes: [submit]}]}`, "spec.boards[0].owners", "add a board with another name instead"},
		{"owners that are players", `{boards: [{name: clans, owners: External}], serviceAccounts: [{name: match-server, scopes: [submit]}]}`, `{boards: [{name: clans, owners: Players}]}`, "spec.boards[0].owners", "add a board with another name instead"},
		{"replicas with autoscaling", `{autoscaling: {maxReplicas: 4}}`, `{autoscaling: {maxReplicas: 4}, replicas: 2}`, "spec.replicas", "set either replicas or autoscaling, not both"},
		{"other replicas with autoscaling", `{replicas: 1}`, `{autoscaling: {maxReplicas: 4}, replicas: 2}`, "spec.replicas", "set either replicas or autoscaling, not both"},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := parse(t, "Leaderboard", "change", test.spec)
			create(t, object)
			changed := parse(t, "Leaderboard", "change", test.changed)
			changed.SetResourceVersion(object.GetResourceVersion())
			requireRefused(t, cluster.Update(timeout(t), changed), test.field, test.message)
		})
	}
}

// The class may be said, and left out again, of a game whose data is in its stores, and no other.
func TestClassOfTheStatus(t *testing.T) {
	object := parse(t, "Leaderboard", "classed", `{}`)
	create(t, object)
	lb := get[games.Leaderboard](t, client.ObjectKey{Namespace: namespace, Name: "classed"})
	lb.Status.ClassName = "fast"
	require.NoError(t, cluster.Status().Update(timeout(t), lb))

	lb.Spec.ClassName = new("slow")
	requireRefused(t, cluster.Update(timeout(t), lb), "spec.className", "set it to what status.className says")
	for _, name := range []*string{new("fast"), nil, new("fast")} {
		lb.Spec.ClassName = name
		require.NoError(t, cluster.Update(timeout(t), lb))
	}
}

// What can be changed, and in which order boards are listed, is the game team's.
func TestLeaderboardChangeAccepted(t *testing.T) {
	object := parse(t, "Leaderboard", "change", `{boards: [{name: arena}, {name: laps, order: Ascending}], replicas: 1}`)
	create(t, object)
	for _, spec := range []string{
		`{boards: [{name: laps, order: Ascending, maxScore: 100}, {name: arena, countsTowardGlobal: false}], replicas: 3}`,
		`{boards: [{name: coins, scoring: Sum}, {name: arena}], replicas: 3, autoscaling: {maxReplicas: 5}}`,
		`{boards: [{name: coins, scoring: Sum}, {name: arena}], autoscaling: {maxReplicas: 5}}`,
		`{boards: [{name: coins, scoring: Count}, {name: arena, order: Ascending}]}`,
		`{boards: [{name: coins, owners: Players}, {name: clans, owners: External}], serviceAccounts: [{name: match-server, scopes: [submit]}]}`,
		`{deletionPolicy: Delete, suspend: true, exposure: {type: Service}}`,
	} {
		changed := parse(t, "Leaderboard", "change", spec)
		changed.SetResourceVersion(object.GetResourceVersion())
		require.NoError(t, cluster.Update(timeout(t), changed), spec)
		object = changed
	}
}

// A field that does not exist is an error with kubectl's strict validation and
// with server-side apply, not something that silently does nothing.
func TestUnknownFieldsRefused(t *testing.T) {
	for spec, field := range map[string]string{
		`{board: [{name: arena}]}`:             `unknown field "spec.board"`,
		`{boards: [{name: arena, reset: 1d}]}`: `unknown field "spec.boards[0].reset"`,
		`{global: {order: Ascending}}`:         `unknown field "spec.global.order"`,
		`{auth: {tokenTtl: 1h}}`:               `unknown field "spec.auth.tokenTtl"`,
		`{tenant: mine}`:                       `unknown field "spec.tenant"`,
	} {
		err := cluster.Create(timeout(t), parse(t, "Leaderboard", "game", spec))
		require.True(t, apierrors.IsBadRequest(err), "%s: %v", spec, err)
		require.ErrorContains(t, err, field)

		configuration := client.ApplyConfigurationFromUnstructured(parse(t, "Leaderboard", "game", spec))
		require.Error(t, cluster.Apply(timeout(t), configuration, client.FieldOwner("test")), spec)
	}
}

// Everything that is refused is refused for what the case says, and not because
// the rest of the case is wrong: without the field, all of it is accepted.
func TestLeaderboardsAccepted(t *testing.T) {
	for _, spec := range []string{
		"",
		"{}",
		`{boards: []}`,
		`{boards: [` + boardList(64) + `]}`,
		`{boards: [{name: a}, {name: "0"}, {name: a-b_c9}, {name: ` + strings.Repeat("a", 40) + `}]}`,
		`{boards: [{name: arena, order: Descending, scoring: Latest, minScore: -9007199254740991, maxScore: 9007199254740991, countsTowardGlobal: true}]}`,
		`{boards: [{name: laps, order: Ascending, countsTowardGlobal: false, minScore: 5, maxScore: 5}]}`,
		`{boards: [{name: clans, owners: External}, {name: cars, owners: External, submitters: Servers, signatures: None, countsTowardGlobal: false}], serviceAccounts: [{name: match-server, scopes: [submit]}]}`,
		`{replicas: 0}`,
		`{autoscaling: {minReplicas: 1, maxReplicas: 1, targetCPUUtilizationPercentage: 100}}`,
		`{resources: {requests: {cpu: 1, memory: 64Mi}, limits: {cpu: "1.5", memory: 64Mi}}}`,
		`{auth: {tokenTTL: 24h, passwordCost: 14}}`, `{auth: {refreshTokenTTL: 1h, renameEvery: 8760h}}`,
		`{auth: {issuers: [{name: store, issuer: "https://id.example.com/a/b_c", audience: game, usernameClaim: nickname}, {name: test, issuer: "http://127.0.0.1:8080", audience: game}]}}`,
		`{serviceAccounts: [{name: match-server, scopes: [submit], kubernetes: [{serviceAccount: match}, {serviceAccount: match, namespace: other}]}]}`, `{auth: {reservedNames: []}}`, `{auth: {reservedNames: [admin, 管理者, Команда_Игры]}}`,
		`{global: {}}`, `{global: {minScore: 0, maxScore: 0, direct: false, decimals: 9}}`,
		`{boards: [{name: a, ranks: Dense, columns: [{name: a, order: Ascending, min: 0, max: 0}, {name: b, decimals: 9}, {name: c}, {name: d}]}], global: {ranks: Competition}}`,
		`{boards: [{name: a, scoring: Sum, ranks: Competition, columns: []}, {name: b, scoring: Latest, columns: [{name: a}]}]}`,
		`{boards: [{name: a, metadata: {}}, {name: b, metadata: {maxBytes: 1, schema: {type: object, properties: {car: {enum: [gt, null, 1.5]}}, $defs: {a: true}}}}]}`,
		`{boards: [{name: arena, allTime: false, windows: [` + windowList(8) + `]}], global: {windows: [` + windowList(8) + `]}}`,
		`{boards: [{name: arena, windows: [{name: w, schedule: "59 23 1,15 JAN-MAR MON", timeZone: America/Argentina/Buenos_Aires, keep: 1000}, {name: all-time, schedule: "0 */6 * * ?", timeZone: Etc/GMT+5}]}]}`,
		`{boards: [{name: arena, windows: [{name: cup, start: "2026-01-01T00:00:00+01:00", end: "2026-01-01T00:01:00+01:00"}]}]}`,
		`{retention: {}}`, `{retention: {events: 24h}}`, `{retention: {events: 876000h}}`,
		`{http: {}}`, `{http: {allowedOrigins: ["*"]}}`,
		`{http: {allowedOrigins: ["https://play.example.com", "http://localhost:8060", "capacitor://localhost", "https://a.b-c.example:8443"]}}`,
		`{auth: {tokenTTL: 1h30m}, className: fast, exposure: {type: Ingress}, deletionPolicy: Delete, suspend: true}`,
	} {
		object := parse(t, "Leaderboard", strings.Repeat("g", 40), spec)
		require.NoError(t, cluster.Create(timeout(t), object), spec)
		require.NoError(t, cluster.Delete(timeout(t), object))
	}
}
