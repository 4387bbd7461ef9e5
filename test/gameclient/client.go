// Package gameclient speaks the public REST API as a game client does. The demo
// and the end-to-end tests play through it.
package gameclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// requestTimeout bounds one call, hashing of a password included.
const requestTimeout = time.Minute

// Client calls one game's endpoint. Its methods may be used concurrently.
type Client struct {
	// Observe, where not nil, is called with each request and its answer, and with their
	// bodies. To be set before the first call.
	Observe func(request *http.Request, sent []byte, answer *http.Response, received []byte)

	endpoint *url.URL
	http     *http.Client
}

// New returns a client of the endpoint, for example
// "http://space-race.arcade.localhost:8088". Where via is not empty, every
// connection goes to that host:port instead of the one the endpoint's host
// name resolves to, as when an ingress controller is reached at an address
// that DNS does not know.
func New(endpoint, via string) (*Client, error) {
	parsed, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("parse the endpoint: %w", err)
	}

	dialer := &net.Dialer{Timeout: 30 * time.Second}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 256,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if via != "" {
				address = via
			}
			return dialer.DialContext(ctx, network, address)
		},
	}

	return &Client{endpoint: parsed, http: &http.Client{Transport: transport, Timeout: requestTimeout}}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Problem is an answer with a status of 400 or above (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Body   string `json:"-"`
	// RetryAfter is how long to wait before the next attempt, where the server says so.
	RetryAfter time.Duration `json:"-"`
}

// Error tells status and detail.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("status %d: %s %s", p.Status, p.Title, p.Body)
	}
	return fmt.Sprintf("status %d: %s: %s", p.Status, p.Title, p.Detail)
}

// Account is an answer of /v1/auth/register.
type Account struct {
	UserID   string `json:"user_id"`
	Username string `json:"username"`
}

// Receipt is an answer of /v1/scores/submit.
type Receipt struct {
	UserID     string `json:"user_id"`
	Username   string `json:"username"`
	GameID     string `json:"game_id"`
	ScoreSaved int64  `json:"score_saved"`
	Score      *int64 `json:"score"`
	Improved   *bool  `json:"improved"`
	Rank       *int64 `json:"rank"`
	Ranking    string `json:"ranking"`
}

// Entry is a line of a board or an answer of /v1/leaderboard/my_rank.
type Entry struct {
	Rank     int64  `json:"rank"`
	UserID   string `json:"user_id"`
	Username string `json:"username"`
	Score    int64  `json:"score"`
	GameID   string `json:"game_id"`
}

// Page is an answer of /v1/leaderboard/global.
type Page struct {
	TotalEntries int64   `json:"total_entries"`
	Leaderboard  []Entry `json:"leaderboard"`
}

// ReportRow is a line of /v1/reports/top_players.
type ReportRow struct {
	Entry
	TotalScoresSubmitted int64  `json:"total_scores_submitted"`
	DateRangeStart       string `json:"date_range_start"`
	DateRangeEnd         string `json:"date_range_end"`
}

// Register makes an account.
func (c *Client) Register(ctx context.Context, username, password string) (Account, error) {
	var account Account
	err := c.call(ctx, http.MethodPost, "/v1/auth/register", nil, "",
		map[string]any{"username": username, "password": password}, &account)
	return account, err
}

// Login returns an access token.
func (c *Client) Login(ctx context.Context, username, password string) (string, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err := c.call(ctx, http.MethodPost, "/v1/auth/token", nil, "",
		map[string]any{"username": username, "password": password}, &answer)
	return answer.AccessToken, err
}

// Submit submits a score to a board; the empty board is "global". A key, where
// not empty, makes the submission safe to repeat.
func (c *Client) Submit(ctx context.Context, token, board string, score int64, key string) (Receipt, error) {
	return c.SubmitWith(ctx, token, Submission{Board: board, Score: score}, key)
}

// Submission is a score with all that may come with it.
type Submission struct {
	// Board is empty for "global".
	Board string `json:"game_id,omitempty"`
	Score int64  `json:"score"`
	// Columns are the board's further columns, by name.
	Columns map[string]int64 `json:"columns,omitempty"`
	// Metadata is a JSON object.
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// SubmitWith is Submit of what has more than a score.
func (c *Client) SubmitWith(ctx context.Context, token string, submission Submission, key string) (Receipt, error) {
	var receipt Receipt
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", strconv.Quote(key))
	}

	err := c.callWithHeader(ctx, header, http.MethodPost, "/v1/scores/submit", nil, token, submission, &receipt)
	return receipt, err
}

// SetAttributes changes what the token's owner has: the values of attributes, by name.
func (c *Client) SetAttributes(ctx context.Context, token string, values map[string]string) error {
	var answer struct{}
	return c.call(ctx, http.MethodPut, "/v1/players/me/attributes", nil, token, map[string]any{"attributes": values}, &answer)
}

// Page reads a page of a board; the empty board is "global".
func (c *Client) Page(ctx context.Context, board string, page, size int) (Page, error) {
	query := url.Values{"page": {strconv.Itoa(page)}, "page_size": {strconv.Itoa(size)}}
	if board != "" {
		query.Set("game_id", board)
	}
	var answer Page
	err := c.call(ctx, http.MethodGet, "/v1/leaderboard/global", query, "", nil, &answer)
	return answer, err
}

// Rank reads the token's owner's entry on a board; the empty board is "global".
func (c *Client) Rank(ctx context.Context, token, board string) (Entry, error) {
	query := url.Values{}
	if board != "" {
		query.Set("game_id", board)
	}
	var entry Entry
	err := c.call(ctx, http.MethodGet, "/v1/leaderboard/my_rank", query, token, nil, &entry)
	return entry, err
}

// ListedEntry is an entry of a list of players.
type ListedEntry struct {
	Entry
	Position int64 `json:"position"`
}

// List reads how players do among themselves on a board.
func (c *Client) List(ctx context.Context, token, board string, players []string) ([]ListedEntry, error) {
	return entries[ListedEntry](ctx, c, http.MethodPost, board, "/list", nil, token, map[string]any{"players": players})
}

// Around reads the entries around the token's owner's on a board.
func (c *Client) Around(ctx context.Context, token, board string, each int) ([]Entry, error) {
	query := url.Values{"player": {"me"}, "before": {strconv.Itoa(each)}, "after": {strconv.Itoa(each)}}
	return entries[Entry](ctx, c, http.MethodGet, board, "/around", query, token, nil)
}

// Season is a run of a window.
type Season struct {
	Season       int32  `json:"season"`
	State        string `json:"state"`
	TotalEntries int64  `json:"total_entries"`
}

// Seasons reads the seasons of a window, the newest first.
func (c *Client) Seasons(ctx context.Context, board, window string) ([]Season, error) {
	var answer struct {
		Seasons []Season `json:"seasons"`
	}
	err := c.call(ctx, http.MethodGet, "/v1/boards/"+board+"/seasons", url.Values{"window": {window}}, "", nil, &answer)
	return answer.Seasons, err
}

// Window reads the first entries of a season of a window; 0: of the one that is open.
func (c *Client) Window(ctx context.Context, board, window string, season int32, size int) ([]Entry, error) {
	return c.First(ctx, board, View{Window: window, Season: season}, size)
}

// View is a part of a board.
type View struct {
	// Window is empty for the board's ranking of all time, and Season 0 for the one that is open.
	Window string
	Season int32
	// Segment is an attribute and its value, as in country:DE; empty: all entries.
	Segment string
}

func (v View) query(size int) url.Values {
	query := url.Values{"page": {"1"}, "page_size": {strconv.Itoa(size)}}
	if v.Window != "" {
		query.Set("window", v.Window)
	}
	if v.Season != 0 {
		query.Set("season", strconv.Itoa(int(v.Season)))
	}
	if v.Segment != "" {
		query.Set("segment", v.Segment)
	}
	return query
}

// First reads the first entries of a part of a board.
func (c *Client) First(ctx context.Context, board string, of View, size int) ([]Entry, error) {
	return entries[Entry](ctx, c, http.MethodGet, board, "", of.query(size), "", nil)
}

// DescribedEntry is an entry with the metadata of its submission, null if it has none.
type DescribedEntry struct {
	Entry
	Metadata json.RawMessage `json:"metadata"`
}

// Described is First with metadata.
func (c *Client) Described(ctx context.Context, board string, of View, size int) ([]DescribedEntry, error) {
	query := of.query(size)
	query.Set("include", "metadata")
	return entries[DescribedEntry](ctx, c, http.MethodGet, board, "", query, "", nil)
}

// entries makes a call about entries of a board, whose path ends so.
func entries[E any](ctx context.Context, c *Client, method, board, end string, query url.Values, token string, body any) ([]E, error) {
	var answer struct {
		Entries []E `json:"entries"`
	}
	err := c.call(ctx, method, "/v1/boards/"+board+"/entries"+end, query, token, body, &answer)
	return answer.Entries, err
}

// PastSubmission is one submission of a player.
type PastSubmission struct {
	Event int64 `json:"event"`
	Score int64 `json:"score"`
}

// History is a part of what a player submitted to a board, the newest first.
type History struct {
	Submissions []PastSubmission `json:"submissions"`
	NextCursor  string           `json:"next_cursor"`
}

// History reads what a player submitted to a board, from where the cursor says; an empty one
// is the beginning.
func (c *Client) History(ctx context.Context, token, board, player, cursor string) (History, error) {
	query := url.Values{"page_size": {"100"}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	var answer History
	err := c.call(ctx, http.MethodGet, "/v1/boards/"+board+"/players/"+player+"/history", query, token, nil, &answer)
	return answer, err
}

// TopPlayers reads the report of the inclusive days from start to end (UTC).
func (c *Client) TopPlayers(ctx context.Context, token, board string, start, end time.Time, limit int) ([]ReportRow, error) {
	query := url.Values{"start_date": {start.Format(time.DateOnly)}, "end_date": {end.Format(time.DateOnly)},
		"limit": {strconv.Itoa(limit)}}
	if board != "" {
		query.Set("game_id", board)
	}

	var rows []ReportRow
	err := c.call(ctx, http.MethodGet, "/v1/reports/top_players", query, token, nil, &rows)
	return rows, err
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, token string, body, answer any) error {
	return c.callWithHeader(ctx, http.Header{}, method, path, query, token, body, answer)
}

func (c *Client) callWithHeader(ctx context.Context, header http.Header, method, path string, query url.Values, token string, body, answer any) error {
	var sent []byte
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		sent = encoded
		header.Set("Content-Type", "application/json")
	}

	target := c.endpoint.JoinPath(path)
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(sent))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}

	request.Header = header
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}

	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer response.Body.Close()

	const maxAnswer = 1 << 20 // a page of 100 entries is some 20 KiB
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	if c.Observe != nil {
		c.Observe(request, sent, response, content)
	}
	if response.StatusCode >= http.StatusBadRequest {
		problem := &Problem{Status: response.StatusCode, Body: string(content)}
		_ = json.Unmarshal(content, problem) // a proxy's error is no problem document
		problem.Status = response.StatusCode
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 without it
		problem.RetryAfter = time.Duration(seconds) * time.Second
		return fmt.Errorf("%s %s: %w", method, path, problem)
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("%s %s: decode the answer: %w", method, path, err)
	}

	return nil
}
