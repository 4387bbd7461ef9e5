package httpapi

import (
	"net/http"
	"regexp"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// deviceSecrets are those that devices may make: 22 characters have room for 128 random bits.
var deviceSecrets = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]{22,128}$`)

// leastCharacters is how many different characters a secret has at the least. 128 random bits
// have fewer once in 10^12 times as hexadecimal digits, and in other alphabets less often.
const leastCharacters = 6

// device takes the secret of a device. Whether it is random nobody can see; one that looks as
// if somebody had typed it is refused.
func (b *body) device(name string, required bool) (identity leaderboard.Identity, ok bool) {
	if _, there := b.fields[name]; !there && !required {
		return leaderboard.Identity{}, false
	}

	wrong := len(b.errs)
	secret := b.text(name, true)
	different := map[rune]bool{}
	for _, c := range secret {
		different[c] = true
	}
	if len(b.errs) == wrong && (!deviceSecrets.MatchString(secret) || len(different) < leastCharacters) {
		b.wrong(name, "%s must be 128 random bits or more that the device has made, as 22 to 128 characters in Base64 or hexadecimal digits", name)
	}
	return leaderboard.Identity{Issuer: leaderboard.DeviceIssuer, Subject: auth.SecretHash(secret)}, true
}

// logInDevice logs in the player of a device, which it makes where there is none yet.
func (a *API) logInDevice(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	if err := a.limit(r, "login-client", clientBucket(a.client(r)), a.Auth.LoginRatePerClient); err != nil {
		return err
	}
	if err := readQuery(r).finish(); err != nil {
		return err
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	identity, _ := b.device("device_secret", true)
	keep := asksToKeep(b.text("scope", false))
	if err := b.finish(); err != nil {
		return err
	}

	player, created, err := a.logInIdentity(r, service, identity, "")
	if err != nil {
		return err
	}
	token, err := a.beginSession(r, service, player, keep)
	if err != nil {
		return err
	}

	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	answerSecret(w, status, token)
	return nil
}

// logInIdentity finds the player with an identity, or makes it, with the name that it wants if
// it can have that.
func (a *API) logInIdentity(r *http.Request, service *leaderboard.Service, identity leaderboard.Identity, wanted string) (player leaderboard.Player, created bool, err error) {
	player, err = service.PlayerByIdentity(r.Context(), identity)
	if leaderboard.CodeOf(err) != leaderboard.CodeNoPlayer {
		return player, false, err
	}

	if err := a.limit(r, "register-client", clientBucket(a.client(r)), a.Auth.RegisterRatePerClient); err != nil {
		return player, false, err
	}
	return service.RegisterIdentity(r.Context(), identity, wanted)
}

// link gives the player one thing more to log in with.
func (a *API) link(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	caller, err := a.caller(r)
	if err != nil {
		return err
	}
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

	if len(b.fields) > 1 {
		return invalidFields([]FieldError{{Field: linkable[0], Message: "send one of " + linkableText + ", not several"}})
	}
	identity, device := b.device("device_secret", false)
	_, issued := b.fields["id_token"]
	idToken := b.text("id_token", issued)
	_, password := b.fields["password"]
	text := b.text("password", password)
	if err := b.finish(); err != nil {
		return err
	}

	switch {
	case device:
		err = service.Identities.LinkIdentity(r.Context(), caller, identity)
	case issued:
		err = a.linkIssued(r, service, caller, idToken)
	case password:
		err = service.SetFirstPassword(r.Context(), caller, text)
	default:
		err = invalidFields([]FieldError{{Field: linkable[0], Message: "one of " + linkableText + " is required"}})
	}
	if err != nil {
		return err
	}
	return a.answerLogins(w, r, service, caller.Player)
}

// linkable are the fields of which a request to link has one.
var linkable = []string{"password", "device_secret", "id_token"}

const linkableText = "password, device_secret and id_token"

// playerLogins answers with what the player can log in with.
func (a *API) playerLogins(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	caller, err := a.caller(r)
	if err != nil {
		return err
	}
	if err := readQuery(r).finish(); err != nil {
		return err
	}
	return a.answerLogins(w, r, service, caller.Player)
}

func (a *API) answerLogins(w http.ResponseWriter, r *http.Request, service *leaderboard.Service, player leaderboard.PlayerID) error {
	logins, err := service.Identities.PlayerLogins(r.Context(), player)
	if leaderboard.CodeOf(err) == leaderboard.CodeNoPlayer {
		err = leaderboard.StaleToken()
	}
	if err != nil {
		return err
	}

	answer(w, http.StatusOK, playerLogins(logins))
	return nil
}

func playerLogins(logins leaderboard.PlayerLogins) PlayerLogins {
	body := PlayerLogins{Password: logins.Password, Identities: make([]PlayerIdentity, len(logins.Identities))}
	for i, identity := range logins.Identities {
		body.Identities[i] = PlayerIdentity{Kind: Device, LinkedAt: identity.LinkedAt.UTC()}
		if identity.Issuer != leaderboard.DeviceIssuer {
			body.Identities[i].Kind, body.Identities[i].Issuer = Issuer, &identity.Issuer
		}
	}
	return body
}
