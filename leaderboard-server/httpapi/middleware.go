package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"golang.org/x/net/http/httpguts"
)

// info is what is known about a request, for its one line in the log.
type info struct {
	id string
	// player, or account, is whose token it is, once that has been verified.
	player, account string
	// token says that the request brought an access token, good or not.
	token bool
	err   error
}

type infoKey struct{}

func requestInfo(r *http.Request) *info {
	if i, ok := r.Context().Value(infoKey{}).(*info); ok {
		return i
	}
	return &info{}
}

func (i *info) failed(err error) { i.err = err }

const requestIDHeader = "X-Request-Id"

// requestID takes the request's own id if it can stand in a log, or makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	if len(id) == 0 || len(id) > 64 {
		return rand.Text()
	}

	for i := range len(id) {
		c := id[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && c != '-' && c != '_' && c != '.' {
			return rand.Text()
		}
	}

	return id
}

// observe gives the request an id, and writes its line in the log and its
// metrics once it has been answered.
func (a *API) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		i := &info{id: requestID(r)}
		r = r.WithContext(context.WithValue(r.Context(), infoKey{}, i))
		w.Header().Set(requestIDHeader, i.id)
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			duration := time.Since(start)
			status := wrapped.Status()
			if status == 0 {
				status = http.StatusOK
			}

			route := chi.RouteContext(r.Context()).RoutePattern()
			if route == "" {
				route = "unmatched"
			}

			method := r.Method
			if !slices.Contains(knownMethods, method) {
				method = "other"
			}

			a.Observer.ObserveRequest(method, route, status, duration)
			a.log(r, i, method, route, status, wrapped.BytesWritten(), duration)
		}()

		next.ServeHTTP(wrapped, r)
	})
}

// knownMethods bounds the values of a metric's label.
var knownMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

func (a *API) log(r *http.Request, i *info, method, route string, status, size int, duration time.Duration) {
	level := slog.LevelInfo
	switch {
	case status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case status >= 500:
		level = slog.LevelError
	}

	if !a.Log.Enabled(r.Context(), level) {
		return
	}

	attributes := []slog.Attr{
		slog.String("request_id", i.id), slog.String("method", method), slog.String("route", route),
		slog.Int("status", status), slog.Int("bytes", size), slog.Float64("duration_ms", float64(duration.Microseconds())/1000),
		slog.String("client", a.client(r).String()),
	}
	if i.player != "" {
		attributes = append(attributes, slog.String("player", i.player))
	}

	if i.account != "" {
		attributes = append(attributes, slog.String("account", i.account))
	}

	if i.err != nil {
		attributes = append(attributes, slog.Any("error", i.err))
	}

	a.Log.LogAttrs(r.Context(), level, "request", attributes...)
}

// recoverPanics answers a panic with a problem document, if nothing has been
// answered yet.
func (a *API) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}

			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(cause) // how a handler ends a connection
			}

			err := fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
			if wrapped, ok := w.(middleware.WrapResponseWriter); ok && wrapped.Status() != 0 {
				requestInfo(r).failed(err)
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}

			fail(w, r, err)
		}()
		next.ServeHTTP(w, r)
	})
}

// securityHeaders are for browsers: what is served here is data, never a page
// of somebody else's making.
func securityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// cors lets the pages of the configured origins call the API. Tokens travel in
// a header that scripts set, so no credentials are allowed.
func (a *API) cors(next http.Handler) http.Handler {
	origins := a.HTTP.CORSAllowedOrigins
	if len(origins) == 0 {
		return next
	}

	anyOrigin := slices.Contains(origins, "*")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" || !anyOrigin && !slices.Contains(origins, origin) {
			next.ServeHTTP(w, r)
			return
		}

		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "X-Request-Id, Idempotency-Replayed, ETag, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate, Accept-Signature")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Add("Vary", requestedHeaders)
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE")
			h.Set("Access-Control-Allow-Headers", allowedHeaders(r))
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}

		next.ServeHTTP(w, r)
	})
}

const requestedHeaders = "Access-Control-Request-Headers"

// allowedHeaders are those that a preflight asks for, whatever they are: engines and
// tracing add their own, and what is not known here is ignored.
func allowedHeaders(r *http.Request) string {
	var names []string
	for _, list := range r.Header.Values(requestedHeaders) {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); httpguts.ValidHeaderFieldName(name) {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, ", ")
}

// bound limits the body's size, what all bodies take, and the time that a request
// may take.
func (a *API) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.HTTP.RequestTimeout)
		defer cancel()

		body := a.newMeteredBody(w, r)
		defer body.release()

		r.Body = body
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
