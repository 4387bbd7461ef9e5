package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// clockTolerance is by how much the clock of an issuer may differ.
	clockTolerance = 30 * time.Second
	// maxToken bounds an ID token, in bytes; those with many claims have some kilobytes.
	maxToken = 16 << 10
	// maxSubject bounds what an issuer calls a player (OpenID Connect Core, section 2).
	maxSubject = 255
)

// algorithms are those that are accepted. None has a secret: a public key is never taken for
// one.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Claims are what a token says of whose it is.
type Claims struct {
	// Issuer and Subject are who it is; Issuer is a URL.
	Issuer, Subject string
	// Username is the name that the player has there; empty: the token has none.
	Username string
}

// Options are what a [Verifier] is made of.
type Options struct {
	Issuers config.Issuers
	// Insecure allows http, for tests.
	Insecure bool
	Now      func() time.Time
	Log      *slog.Logger
}

// Verifier verifies ID tokens of some issuers. It is safe for concurrent use.
type Verifier struct {
	issuers map[string]*issuer
	// fetching has the fetches of keys that run, which stop ends.
	fetching sync.WaitGroup
	stop     context.CancelFunc
}

// issuer is one of them.
type issuer struct {
	settings config.Issuer
	insecure bool
	client   *http.Client
	parser   *jwt.Parser
	// lookup finds the key with the id, for signatures of the algorithm.
	lookup func(ctx context.Context, id, algorithm string) (any, error)
}

// New makes a verifier. Nothing is fetched yet.
func New(options Options) *Verifier {
	ctx, stop := context.WithCancel(context.Background())
	v := &Verifier{issuers: make(map[string]*issuer, len(options.Issuers)), stop: stop}
	for _, settings := range options.Issuers {
		i := newIssuer(settings, options.Now)
		i.insecure, i.client = options.Insecure, newClient()
		keys := &keys{fetch: i.fetch, now: options.Now, ctx: ctx, fetching: &v.fetching, failed: func(err error) {
			options.Log.Warn("the keys of an issuer cannot be fetched, trying again when a token needs them", "issuer", settings.Name, "error", err)
		}}
		i.lookup = keys.lookup
		v.issuers[settings.Issuer] = i
	}
	return v
}

// Close ends the fetches of keys that run, and waits for them. Nothing is verified any more.
func (v *Verifier) Close() {
	v.stop()
	v.fetching.Wait()
}

// NewStatic makes a verifier of one issuer whose keys are known, as a JSON Web Key Set.
func NewStatic(settings config.Issuer, set json.RawMessage, now func() time.Time) (*Verifier, error) {
	var all jose.JSONWebKeySet
	if err := json.Unmarshal(set, &all); err != nil {
		return nil, fmt.Errorf("read the keys of the issuer: %w", err)
	}
	usable := usableKeys(all)
	if len(usable) == 0 || len(all.Keys) > maxKeys {
		return nil, fmt.Errorf("of the %d keys of the issuer %d can verify signatures: it takes 1 to %d", len(all.Keys), len(usable), maxKeys)
	}

	i := newIssuer(settings, now)
	i.lookup = func(_ context.Context, id, algorithm string) (any, error) {
		if key, ok := find(usable, id, algorithm); ok {
			return key, nil
		}
		return nil, errUnknownKey
	}
	return &Verifier{issuers: map[string]*issuer{settings.Issuer: i}, stop: func() {}}, nil
}

func newIssuer(settings config.Issuer, now func() time.Time) *issuer {
	return &issuer{settings: settings,
		parser: jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithIssuer(settings.Issuer), jwt.WithAudience(settings.Audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(clockTolerance), jwt.WithTimeFunc(now), jwt.WithStrictDecoding())}
}

// Verify returns whose the token is. A token that is not good is CodeUnauthenticated, and one
// that nobody can verify now CodeUnavailable.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, refused("is too long")
	}
	unverified := jwt.RegisteredClaims{}
	if _, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(token, &unverified); err != nil {
		return Claims{}, refused("is damaged").WithCause(err)
	}
	i, ok := v.issuers[unverified.Issuer]
	if !ok {
		return Claims{}, refused("is of an issuer that this game does not know")
	}
	return i.verify(ctx, token)
}

func (i *issuer) verify(ctx context.Context, token string) (Claims, error) {
	claims := jwt.MapClaims{}
	parsed, err := i.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		return i.lookup(ctx, id, t.Method.Alg())
	})
	if err != nil {
		return Claims{}, explain(err)
	}

	// An access token is for another API, whoever its audience is (RFC 9068).
	if typ, _ := parsed.Header["typ"].(string); strings.HasSuffix(strings.ToLower(typ), "at+jwt") {
		return Claims{}, refused("is an access token: send the ID token")
	}
	subject, _ := claims["sub"].(string)
	if subject == "" || len(subject) > maxSubject {
		return Claims{}, refused("has no subject that could be one")
	}
	// Of several audiences the one is meant that the token was issued to (section 3.1.3.7).
	if audience, _ := claims.GetAudience(); len(audience) > 1 && claims["azp"] != i.settings.Audience {
		return Claims{}, refused("is for another audience")
	}
	username, _ := claims[i.settings.UsernameClaim].(string)
	return Claims{Issuer: i.settings.Issuer, Subject: subject, Username: username}, nil
}

func refused(why string) *leaderboard.Error {
	return leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "the token of the issuer %s", why)
}

// explain says in the user's words why a token is refused.
func explain(err error) error {
	because := func(why string) error { return refused(why).WithCause(err) }
	switch {
	case errors.Is(err, errUnavailable):
		return leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the keys of the issuer cannot be fetched now: try again in a moment").After(firstPause).WithCause(err)
	case errors.Is(err, errUnknownKey):
		return because("is signed with a key that the issuer does not have")
	case errors.Is(err, jwt.ErrTokenExpired):
		return because("has expired")
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return because("is for another audience")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return because("is from the future")
	}
	return because("is not good")
}

// Known says whether there are any issuers.
func (v *Verifier) Known() bool { return len(v.issuers) > 0 }
