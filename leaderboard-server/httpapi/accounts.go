package httpapi

import (
	"mime"
	"net/http"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	mediaJSON = "application/json"
	mediaYAML = "application/yaml"
	mediaForm = "application/x-www-form-urlencoded"
)

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

// loginRequest is by what somebody logs in: a player by username and password or by a
// refresh token, or a service account where client is set.
type loginRequest struct {
	username, password string
	refresh            string
	client             *clientRequest
	exchange           *exchangeRequest
	// keep asks for a refresh token, too.
	keep bool
}

// token logs a player or a service account in. Errors of the form are those of OAuth 2.0.
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

	answerSecret(w, http.StatusOK, token)
}

// answerSecret answers with a secret, which no cache of any age may keep (RFC 6749, section 5.1).
func answerSecret(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Pragma", "no-cache")
	answer(w, status, value)
}

func (a *API) logIn(r *http.Request, read func(*http.Request) (loginRequest, error)) (Token, error) {
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
	switch {
	case request.client != nil:
		return a.logInAccount(r, *request.client)
	case request.exchange != nil:
		return a.exchange(r, service, *request.exchange)
	case request.refresh != "":
		return a.refresh(r, service, request.refresh)
	}
	return a.logInPlayer(r, service, request)
}

func (a *API) logInPlayer(r *http.Request, service *leaderboard.Service, request loginRequest) (Token, error) {
	attempt, err := a.beginLogin(r, a.playerLimits(r, request.username))
	if err != nil {
		return Token{}, err
	}

	player, err := service.Authenticate(r.Context(), request.username, request.password)
	a.endLogin(r, attempt, err)
	if err != nil {
		return Token{}, err
	}
	return a.beginSession(r, service, player, request.keep)
}

func tokenJSON(r *http.Request) (loginRequest, error) {
	if err := contentType(r, mediaJSON, mediaForm); err != nil {
		return loginRequest{}, err
	}

	b, err := readBody(r)
	if err != nil {
		return loginRequest{}, err
	}

	if _, refresh := b.fields["refresh_token"]; refresh {
		request := loginRequest{refresh: b.text("refresh_token", true)}
		return request, b.finish()
	}

	request := loginRequest{username: b.text("username", true), password: b.text("password", true), keep: asksToKeep(b.text("scope", false))}
	return request, b.finish()
}
