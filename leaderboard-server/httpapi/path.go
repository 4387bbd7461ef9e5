package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
)

// routeEscapedPath makes the router match the path as it was sent. By itself it
// takes the decoded path unless that loses something, so that a handler could not
// know whether a parameter is still to be decoded.
func routeEscapedPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route := chi.RouteContext(r.Context()); route != nil {
			route.RoutePath = routePath(r)
		}
		next.ServeHTTP(w, r)
	})
}

// routePath is the path as it was sent; with a slash at its end it is the same.
func routePath(r *http.Request) string {
	path := r.URL.EscapedPath()
	if trimmed := strings.TrimSuffix(path, "/"); trimmed != "" {
		return trimmed
	}
	return path
}

// pathParameter returns a parameter of the path, decoded once.
func pathParameter(r *http.Request, name string) (string, error) {
	value, err := url.PathUnescape(chi.URLParam(r, name))
	if err != nil || !utf8.ValidString(value) {
		return "", invalidFields([]FieldError{{Field: name, Message: fmt.Sprintf("%s is not valid UTF-8", name)}})
	}
	return value, nil
}
