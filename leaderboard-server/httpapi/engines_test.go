package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// What the JSON of game engines looks like, where it means something else to nobody.
func TestWhatEnginesSend(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")

	for body, want := range map[string]int64{
		`{"score": 100.0}`:                 100,
		`{"score": 1e3, "game_id": null}`:  1000,
		`{"game_id": null, "score": -0.0}`: 0,
	} {
		var receipt httpapi.Receipt
		g.do(request{method: "POST", path: "/v1/scores/submit/", token: token, body: body}).into(200, &receipt)
		require.Equal(t, want, receipt.ScoreSaved, body)
		require.Equal(t, "global", receipt.GameID)
	}

	bom := request{method: "POST", path: "/v1/scores/submit", token: token, body: "\ufeff{\"score\": 7}"}
	require.Equal(t, 200, g.do(bom).status)

	// A cache buster, and a slash at the end.
	stamp := fmt.Sprintf("?_=%d", time.Now().UnixMilli())
	for _, path := range []string{"/v1/leaderboard/global" + stamp, "/v1/leaderboard/global/", "/v1/boards/", "/v1/boards/race/", "/v1/boards/race/entries/" + stamp} {
		require.Equal(t, 200, g.do(request{method: "GET", path: path}).status, path)
	}
	answer := g.do(request{method: "PUT", path: "/v1/boards/"})
	answer.problem(405, "method-not-allowed")
	require.Equal(t, "GET, HEAD", answer.header.Get("Allow"))
}

func TestHintsForTimeZones(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	for zone, hint := range map[string]string{
		"europe/berlin":                    "did you mean Europe/Berlin?",
		"AMERICA/NEW_YORK":                 "did you mean America/New_York?",
		"Etc/GMT+5":                        "write it %2B",
		"Mars/Olympus":                     "for example Europe/Berlin",
		"america/argentina/buenos_aires":   "did you mean America/Argentina/Buenos_Aires?",
		"../../../usr/share/zoneinfo/Zulu": "for example Europe/Berlin",
	} {
		r := calls(token)["topPlayers"]
		r.path += "&time_zone=" + zone
		require.Contains(t, g.do(r).problem(422, "invalid-request", "time_zone").Detail, hint, zone)
	}
}

// A page can be kept by a CDN without a token, and by nobody with one.
func TestPagesAreForCaches(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.HTTP.PageSnapshotTTL = 0 }})
	_, token := g.player("ada")
	g.submit(token, "race", 1)
	page := request{method: "GET", path: "/v1/leaderboard/global?game_id=race"}

	first := g.do(page)
	require.Equal(t, "public, max-age=1", first.header.Get("Cache-Control"))
	require.Contains(t, first.header.Values("Vary"), "Authorization")
	require.Equal(t, first.header.Get("ETag"), g.do(page).header.Get("ETag"))
	other := page
	other.server = g.serve(g.options)
	require.Equal(t, first.header.Get("ETag"), g.do(other).header.Get("ETag"), "on every server")

	live := page
	live.token = token
	answer := g.do(live)
	require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
	require.Contains(t, answer.header.Values("Vary"), "Authorization")
	require.Empty(t, answer.header.Get("ETag"))

	page.header = map[string]string{"If-None-Match": first.header.Get("ETag")}
	require.Equal(t, 304, g.do(page).status)
	g.submit(token, "race", 2)
	changed := g.do(page)
	require.Equal(t, 200, changed.status)
	require.NotEqual(t, first.header.Get("ETag"), changed.header.Get("ETag"))

	page.path = "/v1/leaderboard/global?game_id=chess"
	require.Equal(t, "no-store", g.do(page).header.Get("Cache-Control"))
}

func TestLargePagesAreCompressed(t *testing.T) {
	g := newGame(t, gameOptions{})
	for i := range 60 {
		_, token := g.player(fmt.Sprintf("player-%d", i))
		g.submit(token, "race", int64(i))
	}

	get := func(path, accept string) (http.Header, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.server.URL+path, nil)
		require.NoError(t, err)
		req.Header.Set("Accept-Encoding", accept) // so the client does not unpack it
		answer, err := g.server.Client().Do(req)
		require.NoError(t, err)
		defer answer.Body.Close()

		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.Header, body
	}

	const large, small = "/v1/leaderboard/global?game_id=race&page_size=60", "/v1/leaderboard/global?game_id=race"
	header, text := get(large, "identity")
	tag := header.Get("ETag")
	require.Empty(t, header.Get("Content-Encoding"))

	header, packed := get(large, "gzip, br")
	require.Equal(t, "gzip", header.Get("Content-Encoding"))
	require.Contains(t, strings.Join(header.Values("Vary"), ","), "Accept-Encoding")
	require.Equal(t, tag, header.Get("ETag"), "it is weak")
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	unpacked, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Equal(t, string(text), string(unpacked))

	for path, accept := range map[string]string{small: "gzip", large: "gzip;q=0"} {
		header, _ := get(path, accept)
		require.Empty(t, header.Get("Content-Encoding"), path)
	}
}

// The contract of a server says which page_size it takes.
func TestTheContractTellsThePageSize(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.HTTP.MaxPageSize = 7 }})
	require.Contains(t, string(g.do(request{method: "GET", path: "/openapi.yaml"}).body), "maximum: 7, default: 7}")
	g.do(request{method: "GET", path: "/v1/leaderboard/global?page_size=8"}).problem(422, "invalid-request", "page_size")
}
