package httpapi

import (
	"net/http"
	"net/url"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// typeAccessToken is what an exchange issues (RFC 8693, section 3).
const typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

// exchangeRequest is a token from elsewhere that is exchanged for one of the game's own.
type exchangeRequest struct {
	token string
	kind  TokenFormSubjectTokenType
}

// readExchange reads the form of RFC 8693, section 2.1.
func readExchange(form url.Values) (*exchangeRequest, error) {
	e := &exchangeRequest{token: form.Get("subject_token"), kind: TokenFormSubjectTokenType(form.Get("subject_token_type"))}
	requested := form.Get("requested_token_type")
	switch {
	case e.token == "":
		return nil, &oauthError{string(InvalidRequest), "subject_token is required"}
	case e.kind != TypeIDToken:
		return nil, &oauthError{string(InvalidRequest), "subject_token_type must be " + string(TypeIDToken)}
	case requested != "" && requested != typeAccessToken:
		return nil, &oauthError{string(InvalidRequest), "requested_token_type must be " + typeAccessToken + ", or left out"}
	case form.Get("actor_token") != "":
		return nil, &oauthError{string(InvalidRequest), "actor_token is not taken: nobody acts for others here"}
	}
	return e, nil
}

// exchange logs a player in whom an issuer elsewhere knows.
func (a *API) exchange(r *http.Request, service *leaderboard.Service, request exchangeRequest, keep bool) (Token, error) {
	identity, username, err := a.issued(r, request.token)
	if err != nil {
		return Token{}, err
	}
	player, _, err := a.logInIdentity(r, service, identity, username)
	if err != nil {
		return Token{}, err
	}

	token, err := a.beginSession(r, service, player, keep)
	issued := typeAccessToken
	token.IssuedTokenType = &issued
	return token, err
}

// issued finds whose an ID token is, and the name that the player has there.
func (a *API) issued(r *http.Request, token string) (identity leaderboard.Identity, username string, err error) {
	claims, err := a.Issuers.Verify(r.Context(), token)
	if err != nil {
		return leaderboard.Identity{}, "", err
	}
	return leaderboard.Identity{Issuer: claims.Issuer, Subject: auth.SecretHash(claims.Subject)}, claims.Username, nil
}

// linkIssued lets the player log in as somebody whom an issuer elsewhere knows.
func (a *API) linkIssued(r *http.Request, service *leaderboard.Service, caller leaderboard.Caller, token string) error {
	identity, _, err := a.issued(r, token)
	if leaderboard.CodeOf(err) == leaderboard.CodeUnauthenticated { // the access token is good
		return invalidFields([]FieldError{{Field: "id_token", Message: toProblem(err).detail}})
	}
	if err != nil {
		return err
	}
	return service.Identities.LinkIdentity(r.Context(), caller, identity)
}
