package contract_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/test/contract"
)

const document = "../../leaderboard-server/httpapi/openapi.yaml"

// exchange is a request and its answer.
type exchange struct {
	method, path, sent string
	status             int
	header             map[string]string // of the answer; empty: without
	received           string
	request            map[string]string // headers of the request; empty: without
}

// page and submission are exchanges as they should be.
var (
	page = exchange{method: "GET", path: "/v1/leaderboard/global?page=1", status: 200,
		header:   map[string]string{"X-Request-Id": "1", "Content-Type": "application/json", "Cache-Control": "no-store", "ETag": `W/"0123456789abcdef"`},
		received: `{"game_id": "global", "page": 1, "page_size": 10, "total_entries": 1, "leaderboard": [{"rank": 1, "user_id": null, "username": null, "score": 5, "game_id": "global"}]}`}
	submission = exchange{method: "POST", path: "/v1/scores/submit", sent: `{"score": 5}`, status: 200,
		header:  map[string]string{"X-Request-Id": "1", "Content-Type": "application/json"},
		request: map[string]string{"Content-Type": "application/json", "Authorization": "Bearer x"},
		received: `{"user_id": "01890000-0000-7000-8000-000000000000", "username": "ada", "game_id": "global", "score_saved": 5, "score": null,
			"improved": null, "rank": null, "ranking": "delayed", "replayed": false}`}
)

// with is a copy of the exchange that differs.
func (e exchange) with(change func(*exchange)) exchange {
	e.header, e.request = maps.Clone(e.header), maps.Clone(e.request)
	change(&e)
	return e
}

// refused is the exchange, answered with a problem.
func (e exchange) refused(status int, kind, rest string) exchange {
	return e.with(func(e *exchange) {
		e.status, e.header["Content-Type"] = status, "application/problem+json"
		delete(e.header, "ETag")
		e.received = `{"type": "https://leaderboard.dev/problems/` + kind + `", "title": "t", "status": 422, "detail": "d", "request_id": "1"` + rest + `}`
	})
}

func (e exchange) check(t *testing.T, c *contract.Contract) error {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), e.method, "http://example.com"+e.path, nil)
	for name, value := range e.request {
		request.Header.Set(name, value)
	}
	answer := &http.Response{StatusCode: e.status, Header: http.Header{}}
	for name, value := range e.header {
		answer.Header.Set(name, value)
	}
	return c.Check(request, []byte(e.sent), answer, []byte(e.received))
}

func path(path string) func(*exchange) { return func(e *exchange) { e.path = path } }

func sent(body string) func(*exchange) { return func(e *exchange) { e.sent = body } }

func received(old, changed string) func(*exchange) {
	return func(e *exchange) { e.received = strings.Replace(e.received, old, changed, 1) }
}

func header(name, value string) func(*exchange) {
	return func(e *exchange) { e.header[name] = value }
}

func without(name string) func(*exchange) {
	return func(e *exchange) { delete(e.header, name); delete(e.request, name) }
}

func TestWhatIsDocumented(t *testing.T) {
	c, err := contract.Load(document)
	require.NoError(t, err)
	for name, e := range map[string]exchange{
		"a page":       page,
		"a submission": submission,
		"HEAD":         page.with(func(e *exchange) { e.method, e.received = "HEAD", "" }),
		"not modified": page.with(func(e *exchange) { e.status, e.received = 304, ""; delete(e.header, "Content-Type") }),

		"a cache buster":                       page.with(path("/v1/leaderboard/global/?_=1&page=2")),
		"a byte order mark":                    submission.with(sent("\ufeff{\"score\": 5}")),
		"numbers and nulls of engines":         submission.with(sent(`{"score": 1e3, "game_id": null}`)),
		"refused, as it should":                page.with(path("/v1/leaderboard/global?page=0")).refused(422, "invalid-request", `, "errors": [{"field": "page", "message": "m"}]`),
		"refused, by a rule that is prose":     submission.refused(422, "invalid-request", `, "errors": [{"field": "game_id", "message": "m"}]`),
		"refused, not for what the request is": page.refused(404, "no-board", ""),
		"no call":                              page.with(path("/v1/nothing")).refused(404, "not-found", ""),
		"a preflight":                          page.with(func(e *exchange) { e.method, e.status, e.received = "OPTIONS", 204, "" }),
	} {
		require.NoError(t, e.check(t, c), name)
	}
}

// Each pair breaks the contract in one direction or the other.
func TestWhatIsNotDocumented(t *testing.T) {
	c, err := contract.Load(document)
	require.NoError(t, err)
	const accepted, refused = "the server accepted a request that is not documented", "the server refused a request that is documented"

	for name, wrong := range map[string]struct {
		exchange
		says string
	}{
		"accepted: an unknown parameter":   {page.with(path("/v1/leaderboard/global?pagesize=1")), accepted},
		"accepted: a parameter twice":      {page.with(path("/v1/leaderboard/global?page=1&page=2")), accepted},
		"accepted: a parameter's bound":    {page.with(path("/v1/leaderboard/global?page=0")), accepted},
		"accepted: a plus sign":            {page.with(path("/v1/leaderboard/global?page=%2B1")), accepted},
		"accepted: an empty parameter":     {page.with(path("/v1/leaderboard/global?page=")), accepted},
		"accepted: not UTF-8":              {page.with(path("/v1/leaderboard/global?game_id=%ff")), accepted},
		"accepted: an unknown field":       {submission.with(sent(`{"score": 5, "player": "eve"}`)), accepted},
		"accepted: a field's bound":        {submission.with(sent(`{"score": 9007199254740992}`)), accepted},
		"accepted: a fraction":             {submission.with(sent(`{"score": 1.5}`)), accepted},
		"accepted: a null":                 {submission.with(sent(`{"score": null}`)), accepted},
		"accepted: more than one object":   {submission.with(sent(`{"score": 5}{}`)), accepted},
		"accepted: no body":                {submission.with(sent("")), accepted},
		"accepted: another media type":     {submission.with(func(e *exchange) { e.request["Content-Type"] = "text/plain" }), accepted},
		"accepted: no token":               {submission.with(without("Authorization")), accepted},
		"accepted: a key that is too long": {submission.with(func(e *exchange) { e.request["Idempotency-Key"] = strings.Repeat("k", 513) }), accepted},

		"refused: a parameter": {page.refused(422, "invalid-request", `, "errors": [{"field": "page", "message": "m"}]`), refused},
		"refused: a body":      {submission.refused(400, "malformed-request", ""), refused},
		"refused: its type":    {submission.refused(415, "unsupported-media-type", ""), refused},

		"answered: a status":         {page.refused(403, "forbidden", ""), "the status is not documented"},
		"answered: a media type":     {page.with(header("Content-Type", "text/html")), `unexpected value: "text/html"`},
		"answered: no request id":    {page.with(without("X-Request-Id")), `response header "X-Request-Id" missing`},
		"answered: another header":   {page.with(header("X-Powered-By", "Go")), "the header X-Powered-By is not documented"},
		"answered: a header's value": {page.with(header("ETag", `"strong"`)), `response header "Etag" doesn't match`},
		"answered: a missing field":  {page.with(received(`"page": 1, `, "")), `property "page" is missing`},
		"answered: one more field":   {page.with(received(`"page": 1`, `"page": 1, "pages": 2`)), `property "pages" is unsupported`},
		"answered: deep within":      {page.with(received(`"rank": 1`, `"rank": 0`)), `Error at "/leaderboard/0/rank"`},
		"answered: another type":     {page.with(received(`"page": 1`, `"page": "1"`)), `Error at "/page": value must be an integer`},
		"answered: an id":            {submission.with(received("01890000-", "")), `the format "uuid"`},
		"answered: an unknown value": {submission.with(received("delayed", "late")), `Error at "/ranking"`},
		"answered: no JSON":          {page.with(received("{", "")), "the body is not valid JSON"},
		"answered: 304 with a body":  {page.with(func(e *exchange) { e.status = 304 }), "a body is not documented"},
		"answered: 304, no header":   {page.with(func(e *exchange) { e.status, e.received = 304, ""; delete(e.header, "Cache-Control") }), `response header "Cache-Control" missing`},
		"answered: HEAD, no header":  {page.with(func(e *exchange) { e.method, e.received = "HEAD", ""; delete(e.header, "Cache-Control") }), `response header "Cache-Control" missing`},
		"answered: more than JSON":   {page.with(received(`}]}`, `}]}{}`)), "the body is not valid JSON"},
		"answered: no such call":     {page.with(path("/v1/nothing")), "the document has no such call"},
		"answered: no problem":       {page.with(func(e *exchange) { e.path, e.status = "/v1/nothing", 404 }), `property "game_id" is unsupported`},
	} {
		require.ErrorContains(t, wrong.check(t, c), wrong.says, name)
	}
}

// What a handler does is checked, and what has been seen is known.
func TestHandler(t *testing.T) {
	c, err := contract.Load(document)
	require.NoError(t, err)
	const shown, open = "leaderboard: an answer 200 application/json", "leaderboard: an answer 304 "
	require.Contains(t, c.Unseen(), shown)

	var wrong error
	handler := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name, value := range page.header {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, page.received)
	}), func(err error) { wrong = err })

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", page.path, nil))
	require.NoError(t, wrong)
	require.Equal(t, page.received, w.Body.String())
	require.NotContains(t, c.Unseen(), shown)
	require.Contains(t, c.Unseen(), open)
	require.NotContains(t, c.Unseen(), "leaderboard: a request with the query page")

	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "POST", "/v1/scores/submit", strings.NewReader(submission.sent)))
	require.ErrorContains(t, wrong, "there is no access token")
	require.ErrorContains(t, wrong, `property "score_saved" is missing`, "a page is no receipt")
}

// Of each path and status the first exchange is checked, and then one in so many.
func TestObserver(t *testing.T) {
	c, err := contract.Load(document)
	require.NoError(t, err)
	reported := 0
	observer := c.Observer(3, func(error) { reported++ })
	wrong := &http.Response{StatusCode: http.StatusTeapot, Header: http.Header{}}
	for range 7 {
		observer.Observe(httptest.NewRequestWithContext(t.Context(), "GET", "/v1/boards", nil), nil, wrong, nil)
	}
	require.Equal(t, 3, reported)
	observer.Observe(httptest.NewRequestWithContext(t.Context(), "GET", "/v1/boards/race", nil), nil, wrong, nil)
	require.Equal(t, 4, reported)
}
