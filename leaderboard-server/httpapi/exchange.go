package httpapi

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// typeAccessToken is what an exchange issues (RFC 8693, section 3).
const typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

// exchangeRequest is a token from elsewhere that is exchanged for one of the game's own.
type exchangeRequest struct {
	token string
	kind  TokenFormSubjectTokenType
	scope string
}

// readExchange reads the form of RFC 8693, section 2.1.
func readExchange(form url.Values) (*exchangeRequest, error) {
	e := &exchangeRequest{token: form.Get("subject_token"), kind: TokenFormSubjectTokenType(form.Get("subject_token_type")), scope: form.Get("scope")}
	requested := form.Get("requested_token_type")
	switch {
	case e.token == "":
		return nil, &oauthError{string(InvalidRequest), "subject_token is required"}
	case e.kind != TypeIDToken && e.kind != TypeJWT:
		return nil, &oauthError{string(InvalidRequest), "subject_token_type must be " + string(TypeIDToken) + " for a player, or " + string(TypeJWT) + " for a ServiceAccount"}
	case requested != "" && requested != typeAccessToken:
		return nil, &oauthError{string(InvalidRequest), "requested_token_type must be " + typeAccessToken + ", or left out"}
	case form.Get("actor_token") != "":
		return nil, &oauthError{string(InvalidRequest), "actor_token is not taken: nobody acts for others here"}
	}
	return e, nil
}

// exchange logs in a player whom an issuer elsewhere knows, or a Pod as the service account that
// its ServiceAccount is.
func (a *API) exchange(r *http.Request, service *leaderboard.Service, request exchangeRequest) (Token, error) {
	var token Token
	var err error
	if request.kind == TypeJWT {
		token, err = a.exchangeWorkload(r, request)
	} else {
		token, err = a.exchangePlayer(r, service, request)
	}

	var refused *leaderboard.Error
	if errors.As(err, &refused) && refused.Code == leaderboard.CodeUnauthenticated { // RFC 8693, section 2.2.2
		return Token{}, &oauthError{string(InvalidRequest), refused.Message}
	}
	if err != nil {
		return Token{}, err
	}
	issued := typeAccessToken
	token.IssuedTokenType = &issued
	return token, nil
}

func (a *API) exchangePlayer(r *http.Request, service *leaderboard.Service, request exchangeRequest) (Token, error) {
	identity, username, err := a.issued(r, request.token)
	if err != nil {
		return Token{}, err
	}
	player, _, err := a.logInIdentity(r, service, identity, username)
	if err != nil {
		return Token{}, err
	}
	return a.beginSession(r, service, player, asksToKeep(request.scope))
}

func (a *API) exchangeWorkload(r *http.Request, request exchangeRequest) (Token, error) {
	account, subject, err := a.Tokens.AuthenticateWorkload(r.Context(), request.token)
	if err != nil {
		return Token{}, err
	}
	requestInfo(r).account = account.Name
	return a.accountToken(account, request.scope, func(scopes accounts.Scopes) (string, error) {
		return a.Tokens.IssueWorkload(account.Name, subject, scopes)
	})
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
