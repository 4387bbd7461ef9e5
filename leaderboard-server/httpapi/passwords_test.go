package httpapi_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// login answers a login of a username with a password.
func (g *game) login(username, password string) response {
	return g.do(request{method: "POST", path: "/v1/auth/token", body: credentials(username, password)})
}

// passwordHash is the stored hash of ada's password.
func (g *game) passwordHash() (hash string) {
	conn, err := pgx.Connect(g.t.Context(), postgresServer.URL(g.database))
	require.NoError(g.t, err)
	defer conn.Close(g.t.Context())
	require.NoError(g.t, conn.QueryRow(g.t.Context(), "SELECT password_hash FROM players WHERE username_key = 'ada'").Scan(&hash))
	return hash
}

// A password is the same in every Unicode form; one that bcrypt cannot tell from
// another one is refused.
func TestFormsOfAPassword(t *testing.T) {
	g := newGame(t, gameOptions{})
	register := func(username, password string) response {
		return g.do(request{method: "POST", path: "/v1/auth/register", body: credentials(username, password)})
	}

	require.Equal(t, 201, register("ada", "secret12").status)
	require.Equal(t, 200, g.login("ada", "secret12").status)
	g.login("ada", "secret12\x00secret12").problem(401, "unauthenticated")
	for _, refused := range []string{"secret12\x00secret12", "secret12\n", "secret12\u200b"} {
		register("eve", refused).problem(422, "invalid-request", "password")
	}

	require.Equal(t, 201, register("zoe", "pa\u0308sswo\u0308rd").status)
	require.Equal(t, 200, g.login("zoe", "pässwörd").status)
}

// An account whose password was hashed as it was typed, at another cost, logs in,
// and has a hash of today from then on.
func TestALoginRenewsTheHash(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.player("ada")
	old, err := bcrypt.GenerateFromPassword([]byte("pa\u0308sswo\u0308rd"), bcrypt.MinCost+1)
	require.NoError(t, err)
	g.sql("UPDATE players SET password_hash = $1", string(old))

	g.login("ada", "pässwörd").problem(401, "unauthenticated")
	require.Equal(t, string(old), g.passwordHash(), "a login that fails changes nothing")
	require.Equal(t, 200, g.login("ada", "pa\u0308sswo\u0308rd").status)
	renewed := g.passwordHash()
	cost, err := bcrypt.Cost([]byte(renewed))
	require.NoError(t, err)
	require.Equal(t, bcrypt.MinCost, cost)

	for _, typed := range []string{"pässwörd", "pa\u0308sswo\u0308rd"} {
		require.Equal(t, 200, g.login("ada", typed).status)
	}

	require.Equal(t, renewed, g.passwordHash(), "renewed once")
}

// A hash that cannot be renewed, as the database only reads, does not keep its
// player out.
func TestALoginThatCannotRenewTheHash(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.player("ada")
	old, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost+1)
	require.NoError(t, err)
	g.sql("UPDATE players SET password_hash = $1", string(old))
	g.sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'read only' USING ERRCODE = '25006'; END $$")
	g.sql("CREATE TRIGGER refuse BEFORE UPDATE ON players EXECUTE FUNCTION refuse()")
	require.Equal(t, 200, g.login("ada", password).status)
	require.Equal(t, string(old), g.passwordHash())
}
