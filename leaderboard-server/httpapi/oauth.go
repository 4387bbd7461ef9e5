package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// tokenForm reads the form of RFC 6749, sections 4.3.2, 4.4.2 and 6, or of RFC 8693. Parameters that it does
// not know are ignored, as section 3.2 demands.
func tokenForm(r *http.Request) (loginRequest, error) {
	if err := contentType(r, mediaForm); err != nil {
		return loginRequest{}, err
	}

	content, err := readAll(r)
	if err != nil {
		return loginRequest{}, err
	}

	form, err := url.ParseQuery(string(content))
	if err != nil {
		return loginRequest{}, &oauthError{string(InvalidRequest), "the form is not well-formed"}
	}

	for name, values := range form {
		switch {
		case len(values) > 1:
			return loginRequest{}, &oauthError{string(InvalidRequest), quote(name) + " is there more than once"}
		case !utf8.ValidString(values[0]):
			return loginRequest{}, &oauthError{string(InvalidRequest), quote(name) + " is not valid UTF-8"}
		}
	}

	// Each grant has other parameters.
	switch grant := form.Get("grant_type"); grant {
	case "", string(Password):
	case string(ClientCredentials):
		client, err := readClient(r, form)
		return loginRequest{client: client}, err
	case string(RefreshToken):
		if form.Get("refresh_token") == "" {
			return loginRequest{}, &oauthError{string(InvalidRequest), "refresh_token is required"}
		}
		return loginRequest{refresh: form.Get("refresh_token")}, nil
	case string(TokenExchange):
		exchange, err := readExchange(form)
		return loginRequest{exchange: exchange}, err
	default:
		return loginRequest{}, &oauthError{string(UnsupportedGrantType), "grant_type must be password, refresh_token, client_credentials or " + string(TokenExchange)}
	}

	for _, name := range []string{"grant_type", "username", "password"} {
		if form.Get(name) == "" {
			return loginRequest{}, &oauthError{string(InvalidRequest), name + " is required"}
		}
	}

	return loginRequest{username: form.Get("username"), password: form.Get("password"), keep: asksToKeep(form.Get("scope"))}, nil
}

// clientRequest is by what a service account logs in, and what its token is to be for.
type clientRequest struct {
	id, secret, scope string
}

// readClient finds the client's credentials in the header or in the form (RFC 6749,
// section 2.3.1).
func readClient(r *http.Request, form url.Values) (*clientRequest, error) {
	c := &clientRequest{id: form.Get("client_id"), secret: form.Get("client_secret"), scope: form.Get("scope")}

	if headers := r.Header.Values("Authorization"); len(headers) > 0 {
		encodedID, encodedSecret, ok := r.BasicAuth()
		id, err := url.QueryUnescape(encodedID)
		secret, secretErr := url.QueryUnescape(encodedSecret)
		switch {
		case !ok || len(headers) > 1 || err != nil || secretErr != nil:
			return nil, &oauthError{string(InvalidClient), "the header Authorization must be there once, as HTTP Basic with client_id and client_secret"}
		case c.secret != "" || c.id != "" && c.id != id:
			return nil, &oauthError{string(InvalidRequest), "send client_id and client_secret in the header Authorization or in the form, not in both"}
		}
		c.id, c.secret = id, secret
	}

	if c.id == "" || c.secret == "" {
		return nil, &oauthError{string(InvalidClient), "client_id and client_secret of a service account are required, in the form or as HTTP Basic in the header Authorization"}
	}
	return c, nil
}

// logInAccount gives a service account a token for the scopes that it asks for; without
// any, for all that it has.
func (a *API) logInAccount(r *http.Request, client clientRequest) (Token, error) {
	attempt, err := a.beginLogin(r, a.accountLimits(r, client.id))
	if err != nil {
		return Token{}, err
	}

	account, secret, err := a.Tokens.AuthenticateAccount(client.id, client.secret)
	a.endLogin(r, attempt, err)
	if refused := (*leaderboard.Error)(nil); errors.As(err, &refused) {
		return Token{}, &oauthError{string(InvalidClient), refused.Message}
	}
	requestInfo(r).account = account.Name

	return a.accountToken(account, client.scope, func(scopes accounts.Scopes) (string, error) {
		return a.Tokens.IssueService(account.Name, secret, scopes)
	})
}

// accountToken is the answer with a token for a service account, for the scopes that are asked
// for.
func (a *API) accountToken(account accounts.Account, scope string, issue func(accounts.Scopes) (string, error)) (Token, error) {
	scopes, known := accounts.ParseScopes(scope)
	if !known || len(scopes.In(account.Scopes)) != len(scopes) {
		return Token{}, &oauthError{string(InvalidScope), "scope must be some of those of the service account: " + account.Scopes.String()}
	}
	if len(scopes) == 0 {
		scopes = account.Scopes
	}

	token, err := issue(scopes)
	if err != nil {
		return Token{}, err
	}

	granted := scopes.String()
	return Token{AccessToken: token, TokenType: Bearer, ExpiresIn: int64(auth.ServiceTokenTTL.Seconds()), Username: account.Name, Scope: &granted}, nil
}

// oauthError is an error of RFC 6749, section 5.2.
type oauthError struct {
	code, description string
}

func (e *oauthError) Error() string { return e.code + ": " + e.description }

// answer answers with the error.
func (e *oauthError) answer(w http.ResponseWriter, status int) {
	answer(w, status, OAuthError{Error: OAuthErrorError(e.code), ErrorDescription: e.description})
}

// failOAuth answers with the error as RFC 6749, section 5.2, wants it.
func failOAuth(w http.ResponseWriter, r *http.Request, err error) {
	requestInfo(r).failed(err)
	var e *oauthError
	switch {
	case !errors.As(err, &e):
	case e.code == string(InvalidClient):
		w.Header().Set("WWW-Authenticate", `Basic realm="leaderboard", charset="UTF-8"`)
		e.answer(w, http.StatusUnauthorized)
		return
	default:
		e.answer(w, http.StatusBadRequest)
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

	(&oauthError{string(code), p.detail}).answer(w, status)
}
