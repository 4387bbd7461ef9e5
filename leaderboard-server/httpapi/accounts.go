package httpapi

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	mediaJSON = "application/json"
	mediaYAML = "application/yaml"
	mediaForm = "application/x-www-form-urlencoded"
)

// authenticate finds the identity in the request's token.
func (a *API) authenticate(r *http.Request) (auth.Identity, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return auth.Identity{}, newProblem(kindUnauthenticated, "send the header Authorization: Bearer with an access token from /v1/auth/token")
	}

	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return auth.Identity{}, newProblem(kindUnauthenticated, "the header Authorization must be there once, as: Bearer, a space, and an access token")
	}

	info := requestInfo(r)
	info.token = true
	identity, err := a.Tokens.Verify(strings.TrimSpace(token))
	if err != nil {
		return auth.Identity{}, err
	}

	info.player = string(identity.Player)
	return identity, nil
}

func (a *API) register(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	if err := a.limit(r, "register-client", clientBucket(a.client(r)), a.Auth.RegisterRatePerClient); err != nil {
		return err
	}
	if err := readQuery(r).finish(); err != nil {
		return err
	}

	b, err := readBody(r)
	if err != nil {
		return err
	}

	request := RegisterRequest{Username: b.text("username", true), Password: b.text("password", true)}
	attributes := b.texts("attributes", false, leaderboard.MaxAttributes)
	if err := b.finish(); err != nil {
		return err
	}
	if err := a.limit(r, "register-username", canonicalUsername(request.Username), a.Auth.RegisterRatePerUsername); err != nil {
		return err
	}

	player, err := service.Register(r.Context(), request.Username, request.Password, attributes)
	if err != nil {
		return err
	}

	requestInfo(r).player = string(player.ID)
	answer(w, http.StatusCreated, Account{UserID: string(player.ID), Username: player.Username})
	return nil
}

// token logs a player in. Errors of the form are those of OAuth 2.0.
func (a *API) token(w http.ResponseWriter, r *http.Request) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // read strictly by tokenJSON or tokenForm
	read, refuse := tokenJSON, fail
	if media == mediaForm {
		read, refuse = tokenForm, failOAuth
	}

	token, err := a.logIn(r, read)
	if err != nil {
		refuse(w, r, err)
		return
	}

	w.Header().Set("Pragma", "no-cache") // RFC 6749, section 5.1
	answer(w, http.StatusOK, token)
}

func (a *API) logIn(r *http.Request, read func(*http.Request) (TokenRequest, error)) (Token, error) {
	service, err := a.service()
	if err != nil {
		return Token{}, err
	}
	if err := a.limit(r, "login-client", clientBucket(a.client(r)), a.Auth.LoginRatePerClient); err != nil {
		return Token{}, err
	}
	if err := readQuery(r).finish(); err != nil {
		return Token{}, err
	}

	request, err := read(r)
	if err != nil {
		return Token{}, err
	}

	attempt, err := a.beginLogin(r, request.Username)
	if err != nil {
		return Token{}, err
	}

	player, err := service.Authenticate(r.Context(), request.Username, request.Password)
	a.endLogin(r, attempt, err)
	if err != nil {
		return Token{}, err
	}

	requestInfo(r).player = string(player.ID)
	token, err := a.Tokens.Issue(player)
	if err != nil {
		return Token{}, err
	}

	return Token{AccessToken: token, TokenType: Bearer, ExpiresIn: int64(a.Tokens.TTL().Seconds()), Username: player.Username}, nil
}

func tokenJSON(r *http.Request) (TokenRequest, error) {
	if err := contentType(r, mediaJSON, mediaForm); err != nil {
		return TokenRequest{}, err
	}

	b, err := readBody(r)
	if err != nil {
		return TokenRequest{}, err
	}

	request := TokenRequest{Username: b.text("username", true), Password: b.text("password", true)}
	return request, b.finish()
}

// tokenForm reads the form of RFC 6749, section 4.3.2. Parameters that it does
// not know are ignored, as section 3.2 demands.
func tokenForm(r *http.Request) (TokenRequest, error) {
	if err := contentType(r, mediaForm); err != nil {
		return TokenRequest{}, err
	}

	content, err := readAll(r)
	if err != nil {
		return TokenRequest{}, err
	}

	form, err := url.ParseQuery(string(content))
	if err != nil {
		return TokenRequest{}, &oauthError{InvalidRequest, "the form is not well-formed"}
	}

	for name, values := range form {
		switch {
		case len(values) > 1:
			return TokenRequest{}, &oauthError{InvalidRequest, quote(name) + " is there more than once"}
		case !utf8.ValidString(values[0]):
			return TokenRequest{}, &oauthError{InvalidRequest, quote(name) + " is not valid UTF-8"}
		}
	}

	// Another grant has other parameters.
	if grant := form.Get("grant_type"); grant != "" && grant != string(Password) {
		return TokenRequest{}, &oauthError{UnsupportedGrantType, "grant_type must be password"}
	}
	for _, name := range []string{"grant_type", "username", "password"} {
		if form.Get(name) == "" {
			return TokenRequest{}, &oauthError{InvalidRequest, name + " is required"}
		}
	}

	return TokenRequest{Username: form.Get("username"), Password: form.Get("password")}, nil
}

// oauthError is an error of RFC 6749, section 5.2.
type oauthError struct {
	code        OAuthErrorError
	description string
}

func (e *oauthError) Error() string { return string(e.code) + ": " + e.description }

// failOAuth answers with the error as RFC 6749, section 5.2, wants it.
func failOAuth(w http.ResponseWriter, r *http.Request, err error) {
	requestInfo(r).failed(err)
	var e *oauthError
	if errors.As(err, &e) {
		answer(w, http.StatusBadRequest, OAuthError{Error: e.code, ErrorDescription: e.description})
		return
	}

	p := toProblem(err)
	status, code := http.StatusBadRequest, InvalidRequest
	switch {
	case p.kind == kindUnauthenticated || p.kind == kindForbidden:
		code = InvalidGrant
	case p.kind == kindTooLarge || p.kind == kindMediaType:
		fail(w, r, err) // not a form that could be read
		return
	case p.kind.status == http.StatusTooManyRequests || p.kind.status == http.StatusServiceUnavailable:
		status, code = p.kind.status, TemporarilyUnavailable
		p.headers(w, requestInfo(r))
	case p.kind.status >= 500:
		status, code = p.kind.status, ServerError
	}

	answer(w, status, OAuthError{Error: code, ErrorDescription: p.detail})
}
