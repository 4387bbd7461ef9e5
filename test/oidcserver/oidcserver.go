// Package oidcserver is a real OpenID provider for tests, that of github.com/zitadel/oidc, on a
// port of this machine. What stands in front of it makes it slow, absent or wrong.
package oidcserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// Audience is the client that tokens are issued to.
	Audience = "game"
	// User is a player that it knows.
	User = "id2"
	// UserName is what the player is called.
	UserName = "test-user2"

	password = "verysecure"
	secret   = "secret"
	callback = "http://127.0.0.1/callback"
)

// Fault answers a request in the place of the provider; false: it does not.
type Fault func(w http.ResponseWriter, r *http.Request) bool

// Server is a provider that runs.
type Server struct {
	// URL is the issuer.
	URL string

	server   *httptest.Server
	mu       sync.RWMutex
	provider http.Handler
	users    *storage.Storage
	fault    atomic.Pointer[Fault]
	fetches  sync.Map // path: *atomic.Int64
}

// Start starts a provider with one signing key.
func Start() (*Server, error) {
	s := &Server{}
	s.server = httptest.NewServer(s)
	s.URL = s.server.URL
	if err := s.Rotate(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the provider.
func (s *Server) Close() { s.server.Close() }

// Rotate gives the provider another signing key instead of the one it has.
func (s *Server) Rotate() error {
	client := storage.WebClient(Audience, secret, callback)
	other := storage.WebClient("another-game", secret, callback)
	clients := map[string]*storage.Client{Audience: client, "another-game": other}
	users := storage.NewStorageWithClients(storage.NewUserStore(s.URL), clients)
	provider, err := op.NewProvider(&op.Config{CryptoKey: sha256.Sum256([]byte("tests"))}, users, op.StaticIssuer(s.URL), op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("make an OpenID provider: %w", err)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.provider, s.users = provider, users
	return nil
}

// SetFault lets requests go to the fault first; nil: to the provider alone.
func (s *Server) SetFault(fault Fault) {
	if fault == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&fault)
}

// Fetches is how often something was asked for at the path.
func (s *Server) Fetches(path string) int64 {
	count, _ := s.fetches.LoadOrStore(path, &atomic.Int64{})
	return count.(*atomic.Int64).Load()
}

// Paths that are fetched to verify tokens.
const (
	ConfigurationPath = "/.well-known/openid-configuration"
	KeysPath          = "/keys"
)

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	count, _ := s.fetches.LoadOrStore(r.URL.Path, &atomic.Int64{})
	count.(*atomic.Int64).Add(1)
	if fault := s.fault.Load(); fault != nil && (*fault)(w, r) {
		return
	}

	s.mu.RLock()
	provider := s.provider
	s.mu.RUnlock()
	provider.ServeHTTP(w, r)
}

// IDToken logs the user in as a browser does, and returns the ID token for the client.
func (s *Server) IDToken(ctx context.Context, client string) (string, error) {
	browser := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	authorize := url.Values{"client_id": {client}, "response_type": {"id_token"}, "redirect_uri": {callback}, "scope": {"openid profile"}, "nonce": {"n"}, "state": {"s"}}
	page, err := get(ctx, browser, s.URL+"/authorize?"+authorize.Encode())
	if err != nil {
		return "", err
	}
	defer page.Body.Close()

	request := page.Request.URL.Query().Get("authRequestID")
	if request == "" {
		content, err := io.ReadAll(page.Body)
		return "", errors.Join(fmt.Errorf("begin to log in: the answer is %d: %s", page.StatusCode, content), err)
	}
	s.mu.RLock()
	users := s.users
	s.mu.RUnlock()
	if err := users.CheckUsernamePassword(UserName, password, request); err != nil { // what a page with a form would do
		return "", fmt.Errorf("log in: %w", err)
	}
	answer, err := get(ctx, browser, s.URL+"/authorize/callback?id="+url.QueryEscape(request))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	to, err := answer.Location()
	if err != nil {
		return "", fmt.Errorf("log in: the answer is %d: %w", answer.StatusCode, err)
	}
	fragment, err := url.ParseQuery(to.Fragment)
	if err != nil || fragment.Get("id_token") == "" {
		return "", fmt.Errorf("log in: there is no token at %s", to)
	}
	return fragment.Get("id_token"), nil
}

func get(ctx context.Context, client *http.Client, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(content))
	return answer, err
}
