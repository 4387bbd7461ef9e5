package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi/signature"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// problemBase is what every problem type begins with; docs/problems.md has one
// section per slug.
const problemBase = "https://leaderboard.dev/problems/"

// kind is a kind of problem: what clients can rely on.
type kind struct {
	slug   string
	status int
	title  string
}

// The kinds of problems.
var (
	kindMalformed          = kind{"malformed-request", http.StatusBadRequest, "The request cannot be read"}
	kindInvalid            = kind{"invalid-request", http.StatusUnprocessableEntity, "The request has invalid values"}
	kindUnauthenticated    = kind{"unauthenticated", http.StatusUnauthorized, "Not logged in"}
	kindWrongPassword      = kind{"wrong-password", http.StatusForbidden, "The password is wrong"}
	kindInsufficientScope  = kind{"insufficient-scope", http.StatusForbidden, "The token does not have the scope"}
	kindNotAPlayer         = kind{"not-a-player", http.StatusForbidden, "The token is not that of a player"}
	kindServersOnly        = kind{"servers-only", http.StatusForbidden, "Only servers of the game may submit to this board"}
	kindSignatureRequired  = kind{"signature-required", http.StatusForbidden, "Submissions to this board have to be signed"}
	kindSignatureInvalid   = kind{"signature-invalid", http.StatusForbidden, "The signature is not that of the request"}
	kindSignatureExpired   = kind{"signature-expired", http.StatusForbidden, "The signature is not of this time"}
	kindForbidden          = kind{"forbidden", http.StatusForbidden, "Not allowed"}
	kindNotFound           = kind{"not-found", http.StatusNotFound, "Not found"}
	kindNoBoard            = kind{"no-board", http.StatusNotFound, "There is no such board"}
	kindNoPlayer           = kind{"no-player", http.StatusNotFound, "There is no such player"}
	kindNoWindow           = kind{"no-window", http.StatusNotFound, "The board has no such window"}
	kindNoSeason           = kind{"no-season", http.StatusNotFound, "There is no such season"}
	kindSeasonDropped      = kind{"season-dropped", http.StatusGone, "The results of the season are no longer kept"}
	kindNoSegment          = kind{"no-segment", http.StatusNotFound, "The board has no such segment"}
	kindNoValue            = kind{"no-value", http.StatusNotFound, "The player has no value of the attribute"}
	kindTooManyValues      = kind{"too-many-values", http.StatusConflict, "The players have too many different values of attributes"}
	kindNoEntry            = kind{"no-entry", http.StatusNotFound, "The player has no entry yet"}
	kindNoEvent            = kind{"no-event", http.StatusNotFound, "There is no such submission"}
	kindLogCut             = kind{"log-cut", http.StatusConflict, "Submissions that it depends on are no longer kept"}
	kindTooManyEvents      = kind{"too-many-events", http.StatusConflict, "The player has too many submissions"}
	kindMethodNotAllowed   = kind{"method-not-allowed", http.StatusMethodNotAllowed, "Method not allowed"}
	kindWalkEnded          = kind{"walk-ended", http.StatusGone, "The walk through the board cannot go on"}
	kindUsernameTaken      = kind{"username-taken", http.StatusConflict, "The username is taken"}
	kindLoginConflict      = kind{"login-conflict", http.StatusConflict, "The account cannot be logged in to with this"}
	kindKeyReused          = kind{"idempotency-key-reused", http.StatusConflict, "The idempotency key was used for something else"}
	kindTooLarge           = kind{"body-too-large", http.StatusRequestEntityTooLarge, "The body is too large"}
	kindMediaType          = kind{"unsupported-media-type", http.StatusUnsupportedMediaType, "The Content-Type is not supported"}
	kindOutOfRange         = kind{"score-out-of-range", http.StatusUnprocessableEntity, "The score is out of range"}
	kindImprovement        = kind{"improvement-too-large", http.StatusUnprocessableEntity, "The score improves the standing by too much"}
	kindTooManyPending     = kind{"too-many-pending", http.StatusConflict, "Too many submissions wait for a decision"}
	kindRejected           = kind{"submission-rejected", http.StatusForbidden, "The submission was rejected"}
	kindNoHeld             = kind{"no-submission", http.StatusNotFound, "No such submission is held back"}
	kindDecided            = kind{"submission-decided", http.StatusConflict, "The submission was decided on"}
	kindRateLimited        = kind{"rate-limited", http.StatusTooManyRequests, "Too many requests"}
	kindLimitExceeded      = kind{"limit-exceeded", http.StatusTooManyRequests, "Too many submissions"}
	kindInternal           = kind{"internal-error", http.StatusInternalServerError, "Internal error"}
	kindBusy               = kind{"busy", http.StatusServiceUnavailable, "The server is busy"}
	kindRankingUnavailable = kind{"ranking-unavailable", http.StatusServiceUnavailable, "The ranking is not available"}
	kindUnavailable        = kind{"unavailable", http.StatusServiceUnavailable, "The server is not available"}
)

var kindOfCode = map[leaderboard.Code]kind{
	leaderboard.CodeInvalid:             kindInvalid,
	leaderboard.CodeUnauthenticated:     kindUnauthenticated,
	leaderboard.CodeWrongPassword:       kindWrongPassword,
	leaderboard.CodeForbidden:           kindForbidden,
	leaderboard.CodeServersOnly:         kindServersOnly,
	leaderboard.CodeNoPlayer:            kindNoPlayer,
	leaderboard.CodeNoBoard:             kindNoBoard,
	leaderboard.CodeNoWindow:            kindNoWindow,
	leaderboard.CodeNoSeason:            kindNoSeason,
	leaderboard.CodeSeasonDropped:       kindSeasonDropped,
	leaderboard.CodeNoSegment:           kindNoSegment,
	leaderboard.CodeNoValue:             kindNoValue,
	leaderboard.CodeTooManyValues:       kindTooManyValues,
	leaderboard.CodeNoEntry:             kindNoEntry,
	leaderboard.CodeNoEvent:             kindNoEvent,
	leaderboard.CodeLogCut:              kindLogCut,
	leaderboard.CodeTooManyEvents:       kindTooManyEvents,
	leaderboard.CodeWalkEnded:           kindWalkEnded,
	leaderboard.CodeConflict:            kindUsernameTaken,
	leaderboard.CodeLoginConflict:       kindLoginConflict,
	leaderboard.CodeKeyReused:           kindKeyReused,
	leaderboard.CodeOutOfRange:          kindOutOfRange,
	leaderboard.CodeTooManyPending:      kindTooManyPending,
	leaderboard.CodeSubmissionRejected:  kindRejected,
	leaderboard.CodeNoHeld:              kindNoHeld,
	leaderboard.CodeDecided:             kindDecided,
	leaderboard.CodeRateLimited:         kindRateLimited,
	leaderboard.CodeLimitExceeded:       kindLimitExceeded,
	leaderboard.CodeBusy:                kindBusy,
	leaderboard.CodeRankingUnavailable:  kindRankingUnavailable,
	leaderboard.CodeUnavailable:         kindUnavailable,
	leaderboard.CodeImprovementTooLarge: kindImprovement,
	leaderboard.CodeSignatureRequired:   kindSignatureRequired,
}

// problem is an error of the HTTP layer, or what became of one of the domain.
type problem struct {
	kind       kind
	detail     string
	errors     []FieldError
	retryAfter time.Duration
	// allow is the Allow header of a 405.
	allow string
	// scope is the one that a token lacks.
	scope accounts.Scope
	// serverTime is by what a client sets its clock; zero: it is not asked to.
	serverTime time.Time
	// exceeded is the rate of a 429.
	exceeded *exceeded
	// limit names the limit of a submission that was refused, and allowances are what is left.
	limit      string
	allowances []leaderboard.Allowance
	// cause is for the log.
	cause error
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.cause.Error()
	}
	return p.kind.slug + ": " + p.detail
}

func (p *problem) Unwrap() error { return p.cause }

func newProblem(k kind, detail string) *problem { return &problem{kind: k, detail: detail} }

// invalidFields is a problem with these fields; its detail repeats the first.
func invalidFields(errs []FieldError) *problem {
	errs = tidy(errs)
	return &problem{kind: kindInvalid, detail: errs[0].Message, errors: errs}
}

// toProblem says to the user what the domain's error means. Anything that is
// not the domain's is a defect, whose text stays in the log.
func toProblem(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}

	var maxBytes *http.MaxBytesError
	if errors.As(err, &maxBytes) {
		return &problem{kind: kindTooLarge, detail: "the body has more than " + strconv.FormatInt(maxBytes.Limit, 10) + " bytes", cause: err}
	}

	var e *leaderboard.Error
	if errors.As(err, &e) {
		k, ok := kindOfCode[e.Code]
		if !ok {
			return &problem{kind: kindInternal, detail: internalDetail, cause: err}
		}
		p := &problem{kind: k, detail: e.Message, retryAfter: e.RetryAfter, limit: e.Limit, allowances: e.Allowances, cause: err}
		if e.Field != "" {
			p.errors = []FieldError{{Field: e.Field, Message: e.Message}}
		}
		return p
	}
	if leaderboard.CodeOf(err) == leaderboard.CodeUnavailable {
		return &problem{kind: kindUnavailable, detail: "the server did not finish in time: try again, submissions with the same Idempotency-Key", retryAfter: time.Second, cause: err}
	}

	return &problem{kind: kindInternal, detail: internalDetail, cause: err}
}

const internalDetail = "the server failed; its log says why under this request id"

// fail answers with the error as a problem document.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	p := toProblem(err)
	info := requestInfo(r)
	info.failed(err)
	p.headers(w, info)
	write(w, "application/problem+json", p.kind.status, p.document(info))
}

// document is what a client is told.
func (p *problem) document(info *info) Problem {
	document := Problem{Type: problemBase + p.kind.slug, Title: p.kind.title, Status: p.kind.status, Detail: p.detail, RequestID: info.id}
	if p.errors != nil {
		document.Errors = &p.errors
	}
	if !p.serverTime.IsZero() {
		document.ServerTime = &p.serverTime
	}
	if p.limit != "" {
		document.Limit, document.RetryAfter = &p.limit, wholeSecondsOf(p.retryAfter)
	}
	return document
}

// headers sets those that belong to the status.
func (p *problem) headers(w http.ResponseWriter, info *info) {
	if p.exceeded != nil {
		p.exceeded.headers(w, p.retryAfter)
	}
	tellAllowances(w, p.allowances)

	switch p.kind.status {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="leaderboard"`
		if info.token { // RFC 6750, section 3.1: no error where no token was sent
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	case http.StatusForbidden:
		if p.scope != "" { // RFC 6750, section 3.1
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="leaderboard", error="insufficient_scope", scope=%q`, p.scope))
		}
		if p.kind == kindSignatureRequired { // RFC 9421, section 5.1
			w.Header().Set("Accept-Signature", signature.Wanted)
		}
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", p.allow)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if p.retryAfter > 0 || p.kind != kindLimitExceeded { // of which it says that nothing more is taken
			w.Header().Set("Retry-After", strconv.FormatInt(wholeSeconds(p.retryAfter), 10))
		}
	}

	w.Header().Set("Cache-Control", "no-store")
}

// wholeSeconds rounds up, and to 1 at least, as clients retry no sooner than
// they are told.
func wholeSeconds(d time.Duration) int64 { return max(1, int64(math.Ceil(d.Seconds()))) }

// exceeded is a rate that a request went over.
type exceeded struct {
	name string
	rate config.Rate
}

// headers tells the rate (draft-ietf-httpapi-ratelimit-headers-09): how much of
// it is allowed within how many seconds, and in how many there is something
// again.
func (e *exceeded) headers(w http.ResponseWriter, wait time.Duration) {
	window := e.rate.Interval() * time.Duration(e.rate.Burst)
	w.Header().Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", e.name, e.rate.Burst, wholeSeconds(window)))
	w.Header().Set("RateLimit", fmt.Sprintf("%q;r=0;t=%d", e.name, wholeSeconds(wait)))
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, status int, value any) {
	write(w, "application/json", status, value)
}

func write(w http.ResponseWriter, contentType string, status int, value any) {
	writeBytes(w, contentType, status, encode(value))
}

func encode(value any) []byte {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // metadata comes back as it was written
	if err := encoder.Encode(value); err != nil {
		panic(err) // the types are ours and always encode
	}
	return body.Bytes()
}

func writeBytes(w http.ResponseWriter, contentType string, status int, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // who has gone needs no answer
}
