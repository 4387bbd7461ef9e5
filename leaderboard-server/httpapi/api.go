package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/oidc"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Limiter bounds how often something may happen.
type Limiter interface {
	// Allow counts an event and returns 0, or how long to wait.
	Allow(ctx context.Context, what, who string, rate config.Rate) time.Duration
	// Return gives back an event that Allow counted.
	Return(ctx context.Context, what, who string, rate config.Rate)
}

// Observer is told of every request that was answered.
type Observer interface {
	// ObserveRequest gets the route's pattern ("unmatched" if there is none), never
	// the raw path.
	ObserveRequest(method, route string, status int, duration time.Duration)
}

// Options are what an API is made of. All but Stopping are required.
type Options struct {
	// Service returns the use cases, or nil while the stores have not answered yet.
	Service func() *leaderboard.Service
	Tokens  *auth.Tokens
	// Banned says whether a player was banned, so that its tokens are refused.
	Banned func(ctx context.Context, player leaderboard.PlayerID) bool
	// Issuers verifies the tokens of players who are known elsewhere.
	Issuers *oidc.Verifier
	Limiter Limiter
	// Observer and Log are told of every request.
	Observer Observer
	Log      *slog.Logger
	// Stopping is closed when the server is about to stop; nil: it never does.
	Stopping <-chan struct{}
	// HTTP and Auth bound sizes, times and rates.
	HTTP config.HTTP
	Auth config.Auth
	// IdempotencyTTL is how long repetitions of a submission are recognized.
	IdempotencyTTL time.Duration
}

// API is the HTTP API as an [http.Handler].
type API struct {
	Options
	pages  *pageCache
	bodies bodyBudget
	// submissions and exports are counted by player, batches by service account, lists by client.
	submissions, exports, batches, lists *inFlight
	compressor                           func(http.Handler) http.HandlerFunc
	// contractYAML and contractJSON are the OpenAPI document of this server.
	contractYAML, contractJSON document
	router                     chi.Router
}

// New makes the API.
func New(options Options) (*API, error) {
	a := &API{Options: options, bodies: bodyBudget{limit: options.HTTP.BodyBudget},
		submissions: newInFlight(options.HTTP.MaxInFlightPerPlayer, "this player has %d submissions under way: wait for an answer before sending the next one"),
		exports:     newInFlight(1, "this player has %d export under way: wait for it"),
		batches:     newInFlight(options.HTTP.MaxBatchesPerAccount, "this service account has %d batches under way: wait for an answer before sending the next one"),
		lists:       newInFlight(options.HTTP.MaxListsPerClient, "this client has %d lists of players under way: wait for an answer before sending the next one"),
	}
	var err error
	if a.pages, err = newPageCache(options.HTTP.PageSnapshotTTL, options.HTTP.RequestTimeout, options.Log); err != nil {
		return nil, err
	}

	if a.compressor, err = newCompressor(); err != nil {
		return nil, err
	}
	if a.contractYAML, a.contractJSON, err = newContract(options.HTTP.MaxPageSize); err != nil {
		return nil, err
	}

	a.router = a.routes()
	return a, nil
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

// BodyBytes is what the bodies of requests and answers take now, where they are beyond the usual
// size.
func (a *API) BodyBytes() int64 { return a.bodies.used.Load() }

func (a *API) routes() chi.Router {
	r := chi.NewRouter()
	r.Use(routeEscapedPath, a.observe, a.recoverPanics, securityHeaders, a.cors, a.bound, middleware.GetHead, a.compress)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, newProblem(kindNotFound, "there is nothing at this path: /openapi.yaml describes what there is"))
	})

	r.MethodNotAllowed(a.methodNotAllowed)

	r.Post("/v1/auth/register", a.handle(a.register))
	r.Post("/v1/auth/token", a.token)
	r.Post("/v1/auth/device", a.handle(a.logInDevice))
	r.Post("/v1/auth/logout", a.handle(a.logOut))
	r.Post("/v1/auth/password", a.handle(a.changePassword))
	r.Post("/v1/auth/password/reset", a.handle(a.resetPassword))
	r.Post("/v1/scores/submit", a.handle(namesGameID(a.submit)))
	r.Post("/v1/scores/batch", a.handle(a.submitBatch))
	r.Get("/v1/leaderboard/global", a.handle(namesGameID(a.page)))
	r.Get("/v1/leaderboard/my_rank", a.handle(namesGameID(a.myRank)))
	r.Get("/v1/reports/top_players", a.handle(namesGameID(a.topPlayers)))
	r.Get("/v1/boards", a.handle(a.boards))
	r.Get("/v1/boards/{board}", a.handle(a.board))
	r.Get("/v1/boards/{board}/seasons", a.handle(a.seasons))
	r.Get("/v1/boards/{board}/entries", a.handle(a.entries))
	r.Get("/v1/boards/{board}/entries/around", a.handle(a.entriesAround))
	r.Post("/v1/boards/{board}/entries/list", a.handle(a.listEntries))
	r.Get("/v1/boards/{board}/players/{player}/history", a.handle(a.history))
	r.Get("/v1/players/by-external-id/{external_id}", a.handle(a.externalPlayer))
	r.Get("/v1/owners/{owner_id}", a.handle(a.owner))
	r.Put("/v1/owners/{owner_id}", a.handle(a.setOwner))
	r.Get("/v1/players/{player}/entries", a.handle(a.playerEntries))
	r.Get("/v1/players/me/attributes", a.handle(a.attributes))
	r.Put("/v1/players/me/attributes", a.handle(a.setAttributes))
	r.Get("/v1/players/me/export", a.handle(a.export))
	r.Get("/v1/players/me/logins", a.handle(a.playerLogins))
	r.Post("/v1/players/me/logins", a.handle(a.link))
	r.Get("/v1/players/me/submissions/held", a.handle(a.ownHeldSubmissions))
	r.Put("/v1/players/me/username", a.handle(a.rename))
	r.Delete("/v1/players/me", a.handle(a.eraseOwn))
	r.Delete("/v1/admin/players/{player}", a.handle(a.erasePlayer))
	r.Get("/v1/admin/players/{player}/usernames", a.handle(a.pastNames))
	r.Post("/v1/admin/players/{player}/password_reset", a.handle(a.issueReset))
	r.Post("/v1/admin/players/{player}/{action}", a.handle(a.moderatePlayer))
	r.Post("/v1/admin/boards/{board}/players/{player}/{action}", a.handle(a.moderateEntry))
	r.Post("/v1/admin/boards/{board}/players/{player}/events/{event}/{action}", a.handle(a.moderateEvent))
	r.Post("/v1/admin/boards/{board}/windows/{window}/end", a.handle(a.endSeason))
	r.Get("/v1/admin/submissions", a.handle(a.pendingSubmissions))
	r.Post("/v1/admin/submissions/{submission}/{action}", a.handle(a.decide))
	r.Get("/v1/admin/audit", a.handle(a.audit))
	r.Get("/", a.handle(a.front))
	r.Get("/openapi.yaml", func(w http.ResponseWriter, r *http.Request) {
		answerAll(w, r, mediaYAML, a.contractYAML, contractMaxAge)
	})
	r.Get("/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		answerAll(w, r, mediaJSON, a.contractJSON, contractMaxAge)
	})
	return r
}

// front answers balancers that ask whether the server takes requests. Whether the stores answer
// is not asked: one that is away for a moment must not take all servers out of service.
func (a *API) front(w http.ResponseWriter, _ *http.Request, _ *leaderboard.Service) error {
	select {
	case <-a.Stopping:
		return leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the server is stopping: another one answers").After(time.Second)
	default:
		writeBytes(w, "text/plain; charset=utf-8", http.StatusOK, []byte("leaderboard: /openapi.yaml describes the calls\n"))
		return nil
	}
}

func (a *API) compress(next http.Handler) http.Handler { return a.compressor(next) }

// handler answers a request, or returns why it does not.
type handler func(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error

// handle answers with a handler's error as a problem document.
func (a *API) handle(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		service, err := a.service()
		if err == nil {
			err = h(w, r, service)
		}
		if err != nil {
			fail(w, r, err)
		}
	}
}

// namesGameID is for the calls that name a board by game_id: errors are to name that.
func namesGameID(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
		return fieldNamed(h(w, r, service), "board", "game_id")
	}
}

// fieldNamed is the error with the name that the call has for a field.
func fieldNamed(err error, field, name string) error {
	var e *leaderboard.Error
	if errors.As(err, &e) && e.Field == field {
		return e.Named(name)
	}
	return err
}

func (a *API) service() (*leaderboard.Service, error) {
	if service := a.Service(); service != nil {
		return service, nil
	}
	return nil, leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the server is starting: try again in a moment").After(time.Second)
}

func (a *API) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	p := newProblem(kindMethodNotAllowed, "this path does not take "+shorten(r.Method))
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if a.router.Match(chi.NewRouteContext(), method, routePath(r)) {
			allowed = append(allowed, method)
			if method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	p.allow = strings.Join(allowed, ", ")

	fail(w, r, p)
}

// client is who made the request, for logs and rate limits.
func (a *API) client(r *http.Request) netip.Addr {
	return clientOf(r, a.HTTP.TrustedProxies, a.HTTP.TrustedHops)
}

// limit counts an attempt and refuses it if it is over the rate.
func (a *API) limit(r *http.Request, what, who string, rate config.Rate) error {
	if wait := a.Limiter.Allow(r.Context(), what, who, rate); wait > 0 {
		p := newProblem(kindRateLimited, "too many attempts: try again later, Retry-After says in how many seconds")
		p.retryAfter, p.exceeded = wait, &exceeded{name: what, rate: rate}
		return p
	}
	return nil
}
