package httpapi

import (
	"context"
	_ "embed" // the contract
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"go.yaml.in/yaml/v3"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

//go:embed openapi.yaml
var openapiYAML []byte

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

// Options are what an API is made of. All are required.
type Options struct {
	// Service returns the use cases, or nil while the stores have not answered yet.
	Service func() *leaderboard.Service
	Tokens  *auth.Tokens
	Limiter Limiter
	// Observer and Log are told of every request.
	Observer Observer
	Log      *slog.Logger
	// HTTP and Auth bound sizes, times and rates.
	HTTP config.HTTP
	Auth config.Auth
}

// API is the HTTP API as an [http.Handler].
type API struct {
	Options
	pages       *pageCache
	bodies      bodyBudget
	inFlight    *inFlight
	openapiJSON []byte
	router      chi.Router
}

// New makes the API.
func New(options Options) (*API, error) {
	a := &API{Options: options, bodies: bodyBudget{limit: options.HTTP.BodyBudget}, inFlight: newInFlight(options.HTTP.MaxInFlightPerPlayer)}
	var err error
	if a.pages, err = newPageCache(options.HTTP.PageSnapshotTTL, options.HTTP.RequestTimeout, options.Log); err != nil {
		return nil, err
	}

	var document map[string]any
	if err := yaml.Unmarshal(openapiYAML, &document); err != nil {
		return nil, fmt.Errorf("read the embedded OpenAPI document: %w", err)
	}
	if a.openapiJSON, err = json.Marshal(document); err != nil {
		return nil, fmt.Errorf("write the OpenAPI document as JSON: %w", err)
	}

	a.router = a.routes()
	return a, nil
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

// BodyBytes is what the bodies of requests take now, beyond the usual size.
func (a *API) BodyBytes() int64 { return a.bodies.used.Load() }

func (a *API) routes() chi.Router {
	r := chi.NewRouter()
	r.Use(routeEscapedPath, a.observe, a.recoverPanics, securityHeaders, a.cors, a.bound, middleware.GetHead)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, newProblem(kindNotFound, "there is nothing at this path: /openapi.yaml describes what there is"))
	})

	r.MethodNotAllowed(a.methodNotAllowed)

	r.Post("/v1/auth/register", a.handle(a.register))
	r.Post("/v1/auth/token", a.token)
	r.Post("/v1/scores/submit", a.handle(a.submit))
	r.Get("/v1/leaderboard/global", a.handle(a.page))
	r.Get("/v1/leaderboard/my_rank", a.handle(a.myRank))
	r.Get("/v1/reports/top_players", a.handle(a.topPlayers))
	r.Get("/v1/boards", a.handle(a.boards))
	r.Get("/v1/boards/{game_id}/entries", a.handle(a.entries))
	r.Get("/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		writeBytes(w, "application/yaml", http.StatusOK, openapiYAML)
	})

	r.Get("/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		writeBytes(w, "application/json", http.StatusOK, a.openapiJSON)
	})
	return r
}

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

func (a *API) service() (*leaderboard.Service, error) {
	if service := a.Service(); service != nil {
		return service, nil
	}
	return nil, leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the server is starting: try again in a moment").After(time.Second)
}

func (a *API) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	p := newProblem(kindMethodNotAllowed, "this path does not take "+shorten(r.Method))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if a.router.Match(chi.NewRouteContext(), method, r.URL.EscapedPath()) {
			p.allow = method
			if method == http.MethodGet {
				p.allow += ", HEAD"
			}
		}
	}

	fail(w, r, p)
}

// client is who made the request, for logs and rate limits.
func (a *API) client(r *http.Request) netip.Addr { return clientOf(r, a.HTTP.TrustedProxies) }

// limit counts an attempt and refuses it if it is over the rate.
func (a *API) limit(r *http.Request, what, who string, rate config.Rate) error {
	if wait := a.Limiter.Allow(r.Context(), what, who, rate); wait > 0 {
		p := newProblem(kindRateLimited, "too many attempts: try again later, Retry-After says in how many seconds")
		p.retryAfter, p.exceeded = wait, &exceeded{name: what, rate: rate}
		return p
	}
	return nil
}
