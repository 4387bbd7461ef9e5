package httpapi_test

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
)

const signedBoards = `{"boards": [
	{"name": "arena", "signatures": "Required", "minScore": 0, "maxScore": 1000},
	{"name": "league", "signatures": "Required"},
	{"name": "casual"}]}`

// session is what a player's client has after a login.
type session struct {
	g          *game
	id, token  string
	signingKey []byte
}

// session logs a player in, and registers one who is not registered yet.
func (g *game) session(username string) session {
	g.do(request{method: "POST", path: "/v1/auth/register", body: credentials(username, password)})
	var token httpapi.Token
	g.do(request{method: "POST", path: "/v1/auth/token", body: credentials(username, password)}).into(200, &token)
	identity, err := g.tokens.Verify(token.AccessToken)
	require.NoError(g.t, err)
	s := session{g: g, id: string(identity.Player), token: token.AccessToken}
	if token.SigningKey != nil {
		s.signingKey, err = base64.StdEncoding.DecodeString(*token.SigningKey)
		require.NoError(g.t, err)
		require.Len(g.t, s.signingKey, 32)
	}
	return s
}

// signing is what a client signs, written out as RFC 9421 has it and without the server's code.
type signing struct {
	method, path, key, body string
	created                 time.Time
	// parameters come after created.
	parameters string
	// components are in the order in which they are signed.
	components []string
	secret     []byte
}

func (s session) signing(key, body string) signing {
	return signing{method: "POST", path: "/v1/scores/submit", key: key, body: body, created: time.Now(),
		components: []string{"@method", "@path", "content-digest", "idempotency-key"}, secret: s.signingKey}
}

func (s signing) digest() string {
	sum := sha256.Sum256([]byte(s.body))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func (s signing) headers() map[string]string {
	values := map[string]string{"@method": s.method, "@path": s.path, "content-digest": s.digest(), "idempotency-key": s.key}
	var base strings.Builder
	for _, c := range s.components {
		fmt.Fprintf(&base, "\"%s\": %s\n", c, values[c])
	}
	parameters := fmt.Sprintf(`("%s");created=%d%s`, strings.Join(s.components, `" "`), s.created.Unix(), s.parameters)
	base.WriteString(`"@signature-params": ` + parameters)
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(base.String()))
	return map[string]string{"Content-Digest": s.digest(), "Idempotency-Key": s.key, "Signature-Input": "sig=" + parameters,
		"Signature": "sig=:" + base64.StdEncoding.EncodeToString(mac.Sum(nil)) + ":"}
}

// request is the signed request.
func (s session) request(signed signing) request {
	return request{method: signed.method, path: signed.path, token: s.token, body: signed.body, header: signed.headers()}
}

// showSignatures shows what the contract documents of them. The game's boards are others from
// then on.
func (g *game) showSignatures() {
	boards, err := leaderboard.ParseBoards([]byte(signedBoards))
	require.NoError(g.t, err)
	require.NoError(g.t, g.service.Reload(g.t.Context(), boards))
	signer := g.session("signer")
	g.do(signer.request(signer.signing("shown", submission("arena", 5)))).into(200, new(httpapi.Receipt))
	g.do(request{method: "POST", path: "/v1/scores/submit", token: signer.token, body: submission("arena", 5)}).problem(403, "signature-required")
}

func TestASignedSubmission(t *testing.T) {
	g := newGame(t, gameOptions{boards: signedBoards})
	ada := g.session("ada")
	var board httpapi.Board
	g.do(request{method: "GET", path: "/v1/boards/arena"}).into(200, &board)
	require.Equal(t, "Required", board.Signatures)

	var receipt httpapi.Receipt
	g.do(ada.request(ada.signing("one", submission("arena", 5)))).into(200, &receipt)
	require.Equal(t, int64(5), receipt.ScoreSaved)

	t.Run("what a client may choose", func(t *testing.T) {
		for i, change := range []func(*signing){
			func(s *signing) {
				s.components = []string{"idempotency-key", "content-digest", "@path", "@method"}
			},
			func(s *signing) { s.parameters = `;alg="hmac-sha256";keyid="session";nonce="n";tag="game"` },
			func(s *signing) { s.parameters = fmt.Sprintf(";expires=%d", time.Now().Add(time.Minute).Unix()) },
			func(s *signing) { s.created = time.Now().Add(-4 * time.Minute) },
			func(s *signing) { s.created = time.Now().Add(4 * time.Minute) },
			func(s *signing) { s.key = `"quoted"` },
			func(s *signing) { s.body = " { \"score\" : 5 ,\"game_id\": \"arena\" }\n" },
			func(s *signing) { s.body = submission("casual", 5) },
		} {
			signed := ada.signing(fmt.Sprint("choice ", i), submission("arena", 5))
			change(&signed)
			g.do(ada.request(signed)).into(200, &receipt)
		}
	})

	t.Run("from another server, and after the keys were rotated", func(t *testing.T) {
		other := g.serve(g.options)
		rotated, err := g.keys.Rotate(time.Now(), 0, time.Hour)
		require.NoError(t, err)
		g.tokens.SetKeys(rotated)
		r := ada.request(ada.signing("rotated", submission("arena", 6)))
		r.server = other
		g.do(r).into(200, &receipt)

		bob := g.session("bob") // whose token the new key signed
		g.do(bob.request(bob.signing("rotated", submission("arena", 6)))).into(200, &receipt)
		require.NotEqual(t, ada.signingKey, bob.signingKey)
	})

	t.Run("who need none", func(t *testing.T) {
		g.do(request{method: "POST", path: "/v1/scores/submit", token: ada.token, body: submission("casual", 5)}).into(200, &receipt)
		var token httpapi.Token
		g.do(clientLogin("match-server", g.account("match-server", accounts.Submit), "")).into(200, &token)
		require.Nil(t, token.SigningKey)
		g.do(request{method: "POST", path: "/v1/scores/submit", token: token.AccessToken, body: submissionOf(ada.id, "arena", 7)}).into(200, &receipt)
	})
}

// What somebody can do who has captured a signed request, or has a player's token and no key. Each
// is refused, and stores nothing; what comes again is answered as a repetition.
func TestAttacksOnSignatures(t *testing.T) {
	g := newGame(t, gameOptions{boards: signedBoards})
	ada, bob := g.session("ada"), g.session("bob")
	again := g.session("ada") // in another session
	captured := ada.signing("captured", submission("arena", 500))
	g.do(ada.request(captured)).into(200, new(httpapi.Receipt))
	stored := g.count("score_events")

	with := func(changes map[string]string) map[string]string {
		headers := captured.headers()
		maps.Copy(headers, changes)
		return headers
	}
	forged := func(change func(*signing)) map[string]string {
		s := captured
		s.key = "fresh"
		change(&s)
		return s.headers()
	}
	input := captured.headers()["Signature-Input"]
	beforeCreated, _, _ := strings.Cut(input, ";created")
	other := signing{body: submission("arena", 1000)}

	attacks := []struct {
		name   string
		header map[string]string // nil: those of the captured request
		body   string            // empty: that of the captured request
		token  string            // empty: that of the captured request
		path   string
		status int
		slug   string // empty: it is answered as a repetition
		field  string
	}{
		{name: "the same request", status: 200},
		{name: "another key", header: with(map[string]string{"Idempotency-Key": "fresh"}), status: 403, slug: "signature-invalid"},
		{name: "the key in quotes", header: with(map[string]string{"Idempotency-Key": `"captured"`}), status: 403, slug: "signature-invalid"},
		{name: "no key", header: with(map[string]string{"Idempotency-Key": ""}), status: 422, slug: "invalid-request", field: "Idempotency-Key"},
		{name: "another body", body: submission("arena", 1000), status: 403, slug: "signature-invalid"},
		{name: "another body with its digest", body: other.body, header: with(map[string]string{"Content-Digest": other.digest()}), status: 403, slug: "signature-invalid"},
		{name: "the body with a space", body: captured.body + " ", status: 403, slug: "signature-invalid"},
		{name: "another board", body: submission("league", 500), status: 403, slug: "signature-invalid"},
		{name: "a board without signatures", body: submission("casual", 500), status: 403, slug: "signature-invalid"},
		{name: "a body that is no JSON", body: "{", status: 403, slug: "signature-invalid"},
		{name: "another player's token", token: bob.token, status: 403, slug: "signature-invalid"},
		{name: "another session of the player", token: again.token, status: 403, slug: "signature-invalid"},
		{name: "no token", token: "-", status: 401, slug: "unauthenticated"},
		{name: "another spelling of the path", path: "/v1/scores/%73ubmit", status: 404, slug: "not-found"},
		{name: "a slash more", path: "/v1/scores/submit/", status: 403, slug: "signature-invalid"},
		{name: "a query", path: "/v1/scores/submit?x=1", status: 422, slug: "invalid-request", field: "x"},
		{name: "another time", header: with(map[string]string{"Signature-Input": strings.Replace(input, "created=", "created=1", 1)}), status: 403, slug: "signature-invalid"},
		{name: "another order", header: with(map[string]string{"Signature-Input": strings.Replace(input, `"@method" "@path"`, `"@path" "@method"`, 1)}), status: 403, slug: "signature-invalid"},
		{name: "a parameter more", header: with(map[string]string{"Signature-Input": input + `;nonce="x"`}), status: 403, slug: "signature-invalid"},
		{name: "an expiry", header: with(map[string]string{"Signature-Input": input + ";expires=99999999999"}), status: 403, slug: "signature-invalid"},
		{name: "no signature", header: with(map[string]string{"Signature-Input": "", "Signature": "", "Content-Digest": ""}), status: 403, slug: "signature-required"},
		{name: "the digest alone", header: with(map[string]string{"Signature-Input": "", "Signature": ""}), status: 403, slug: "signature-required"},
		{name: "no Signature-Input", header: with(map[string]string{"Signature-Input": ""}), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "no Signature", header: with(map[string]string{"Signature": ""}), status: 422, slug: "invalid-request", field: "Signature"},
		{name: "no Content-Digest", header: with(map[string]string{"Content-Digest": ""}), status: 422, slug: "invalid-request", field: "Content-Digest"},
		{name: "no body covered", header: forged(func(s *signing) { s.components = []string{"@method", "@path", "idempotency-key"} }), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "no key covered", header: forged(func(s *signing) { s.components = []string{"@method", "@path", "content-digest"} }), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "no path covered", header: forged(func(s *signing) { s.components = []string{"@method", "content-digest", "idempotency-key"} }), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "nothing covered", header: forged(func(s *signing) { s.components = nil }), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "a component twice", header: forged(func(s *signing) { s.components = append(s.components, "@path") }), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "a component of the answer", header: with(map[string]string{"Signature-Input": strings.Replace(input, `"@path"`, `"@path";req`, 1)}), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "no time", header: with(map[string]string{"Signature-Input": beforeCreated}), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "two signatures", header: with(map[string]string{"Signature-Input": input + ", two" + input[3:], "Signature": captured.headers()["Signature"] + ", two=::"}), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "a signature of another name", header: with(map[string]string{"Signature": strings.Replace(captured.headers()["Signature"], "sig=", "two=", 1)}), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "another algorithm", header: forged(func(s *signing) { s.parameters = `;alg="ed25519"` }), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "an empty signature", header: with(map[string]string{"Signature": "sig=::"}), status: 422, slug: "invalid-request", field: "Signature"},
		{name: "a short signature", header: with(map[string]string{"Signature": "sig=:AAAA:"}), status: 422, slug: "invalid-request", field: "Signature"},
		{name: "a signature of zeros", header: with(map[string]string{"Signature": "sig=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"}), status: 403, slug: "signature-invalid"},
		{name: "an empty digest", header: with(map[string]string{"Content-Digest": "sha-256=::"}), status: 422, slug: "invalid-request", field: "Content-Digest"},
		{name: "a digest of another kind", header: with(map[string]string{"Content-Digest": "md5=:AAAA:"}), status: 422, slug: "invalid-request", field: "Content-Digest"},
		{name: "long headers", header: with(map[string]string{"Signature-Input": input + `;nonce="` + strings.Repeat("x", 1024) + `"`}), status: 422, slug: "invalid-request", field: "Signature-Input"},
		{name: "no key known", header: forged(func(s *signing) { s.secret = nil }), status: 403, slug: "signature-invalid"},
		{name: "the token as the key", header: forged(func(s *signing) { s.secret = []byte(ada.token) }), status: 403, slug: "signature-invalid"},
		{name: "the player's id as the key", header: forged(func(s *signing) { s.secret = []byte(ada.id) }), status: 403, slug: "signature-invalid"},
		{name: "another player's signing key", header: forged(func(s *signing) { s.secret = bob.signingKey }), status: 403, slug: "signature-invalid"},
		{name: "the player's key of another session", header: forged(func(s *signing) { s.secret = again.signingKey }), status: 403, slug: "signature-invalid"},
		{name: "a request that was held back", header: forged(func(s *signing) { s.created = time.Now().Add(-6 * time.Minute) }), status: 403, slug: "signature-expired"},
		{name: "a request for later", header: forged(func(s *signing) { s.created = time.Now().Add(6 * time.Minute) }), status: 403, slug: "signature-expired"},
		{name: "a request past its own end", header: forged(func(s *signing) { s.parameters = fmt.Sprintf(";expires=%d", time.Now().Add(-time.Second).Unix()) }), status: 403, slug: "signature-expired"},
	}
	t.Logf("%d attacks", len(attacks))
	for _, tried := range attacks {
		t.Run(tried.name, func(t *testing.T) {
			r := request{method: "POST", path: "/v1/scores/submit", token: ada.token, body: captured.body, header: captured.headers()}
			if tried.header != nil {
				r.header = tried.header
			}
			if tried.body != "" {
				r.body = tried.body
			}
			if tried.path != "" {
				r.path = tried.path
			}
			if tried.token != "" {
				r.token = strings.TrimPrefix(tried.token, "-")
			}

			answer := g.do(r)
			if tried.slug == "" {
				var receipt httpapi.Receipt
				answer.into(tried.status, &receipt)
				require.True(t, receipt.Replayed)
			} else {
				var fields []string
				if tried.field != "" {
					fields = []string{tried.field}
				}
				p := answer.problem(tried.status, tried.slug, fields...)
				require.Equal(t, tried.slug == "signature-expired", p.ServerTime != nil)
				if p.ServerTime != nil {
					require.WithinDuration(t, time.Now(), *p.ServerTime, time.Minute)
				}
				require.Equal(t, tried.slug == "signature-required", answer.header.Get("Accept-Signature") != "")
			}
			require.Equal(t, stored, g.count("score_events"))
			attack.Refused(t, "a captured submission with "+tried.name, cmp.Or(tried.slug, "a repetition, nothing is stored"))
		})
	}

	t.Run("after the key of the session was withdrawn", func(t *testing.T) {
		fresh, err := keyset.New(time.Now().Add(-time.Minute))
		require.NoError(t, err)
		g.tokens.SetKeys(fresh)
		g.do(ada.request(ada.signing("withdrawn", submission("arena", 1)))).problem(401, "unauthenticated")
		require.Equal(t, stored, g.count("score_events"))
	})
}

// A client learns by how much its clock is wrong from the answer.
func TestAClockThatIsWrong(t *testing.T) {
	g := newGame(t, gameOptions{boards: signedBoards})
	ada := g.session("ada")
	wrong := ada.signing("clock", submission("arena", 5))
	wrong.created = wrong.created.Add(-24 * time.Hour)
	p := g.do(ada.request(wrong)).problem(403, "signature-expired")
	require.NotNil(t, p.ServerTime)

	right := wrong
	right.created = *p.ServerTime
	g.do(ada.request(right)).into(200, new(httpapi.Receipt))
}

// Games whose boards want no signatures give out no keys, and look at no signature.
func TestGamesWithoutSignatures(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.do(request{method: "POST", path: "/v1/auth/register", body: credentials("ada", password)})
	var answer map[string]any
	g.do(request{method: "POST", path: "/v1/auth/token", body: credentials("ada", password)}).into(200, &answer)
	require.NotContains(t, answer, "signing_key")
	ada := g.session("ada")
	require.Nil(t, ada.signingKey)

	r := ada.request(ada.signing("one", submission("race", 5)))
	r.header["Signature"] = "sig=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"
	g.do(r).into(200, new(httpapi.Receipt))
	r = ada.request(ada.signing("two", submission("race", 5)))
	r.header["Signature-Input"] = "nothing of RFC 9421"
	g.do(r).into(200, new(httpapi.Receipt))

	// From when one does, who has no key logs in again.
	boards, err := leaderboard.ParseBoards([]byte(signedBoards))
	require.NoError(t, err)
	require.NoError(t, g.service.Reload(t.Context(), boards))
	g.do(request{method: "POST", path: "/v1/scores/submit", token: ada.token, body: submission("arena", 5)}).problem(403, "signature-required")
	ada = g.session("ada")
	g.do(ada.request(ada.signing("three", submission("arena", 5)))).into(200, new(httpapi.Receipt))
}

func TestPagesMaySign(t *testing.T) {
	g := newGame(t, gameOptions{boards: signedBoards, change: func(o *httpapi.Options) { o.HTTP.CORSAllowedOrigins = []string{"https://play.example.com"} }})
	answer := g.do(request{method: "OPTIONS", path: "/v1/scores/submit", header: map[string]string{"Origin": "https://play.example.com", "Access-Control-Request-Method": http.MethodPost,
		"Access-Control-Request-Headers": "authorization,content-type,content-digest,idempotency-key,signature,signature-input"}})
	require.Equal(t, http.StatusNoContent, answer.status)
	for _, name := range []string{"content-digest", "idempotency-key", "signature", "signature-input"} {
		require.Contains(t, answer.header.Get("Access-Control-Allow-Headers"), name)
	}
	require.Contains(t, answer.header.Get("Access-Control-Expose-Headers"), "Accept-Signature")
}

// What a board bounds is told, and by whom it is submitted makes no difference.
func TestAnImprovementThatIsTooLarge(t *testing.T) {
	g := newGame(t, gameOptions{boards: `{"boards": [{"name": "arena", "maxScore": 1000, "minScore": 0, "maxImprovement": 50}]}`})
	id, token := g.player("ada")
	var board httpapi.Board
	g.do(request{method: "GET", path: "/v1/boards/arena"}).into(200, &board)
	require.Equal(t, int64(50), *board.MaxImprovement)
	var global map[string]any
	g.do(request{method: "GET", path: "/v1/boards/global"}).into(200, &global)
	require.NotContains(t, global, "max_improvement")

	g.submit(token, "arena", 700)
	p := g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("arena", 751)}).problem(422, "improvement-too-large", "score")
	require.Contains(t, p.Detail, "by 50 at the most")
	require.Contains(t, p.Detail, "from 0 to 1000")
	g.submit(token, "arena", 750)
	service := g.serviceToken("match-server", g.account("match-server", accounts.Submit), "")
	g.do(request{method: "POST", path: "/v1/scores/submit", token: service, body: submissionOf(id, "arena", 900)}).problem(422, "improvement-too-large", "score")
	g.do(request{method: "POST", path: "/v1/scores/submit", token: service, body: submissionOf(id, "arena", 800)}).into(200, new(httpapi.Receipt))
	g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("arena", 1001)}).problem(422, "score-out-of-range", "score")
}
