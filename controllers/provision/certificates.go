package provision

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/tlsclient"
)

// postgresTLS is how connections to the host are secured; nil: they are not.
func postgresTLS(admin PostgresAdmin, host string, certificate *tls.Certificate) (*tls.Config, error) {
	options := tlsclient.Options{CA: admin.CA, Certificate: fixed(certificate)}
	switch admin.SSLMode {
	case "disable":
		return nil, nil
	case "require":
		options.CA = nil
	case "verify-ca":
		options.AnyName = true
	case "verify-full":
		options.ServerName = host
	default:
		return nil, &Error{Kind: Misconfigured, Message: fmt.Sprintf("sslMode %q is not disable, require, verify-ca or verify-full", admin.SSLMode)}
	}

	config, err := tlsclient.Config(options)
	if err != nil {
		return nil, noAuthority("PostgreSQL", err)
	}
	if admin.SSLMode == "require" {
		config.InsecureSkipVerify = true // it encrypts, and asks nobody for a name
	}

	return config, nil
}

// redisTLS is how connections to all nodes are secured.
func redisTLS(admin RedisAdmin, certificate *tls.Certificate) (*tls.Config, error) {
	config, err := tlsclient.Config(tlsclient.Options{CA: admin.CA, ServerName: admin.ServerName, Certificate: fixed(certificate)})
	return config, noAuthority("Redis", err)
}

// noAuthority words why authorities cannot be used; nil stays nil.
func noAuthority(store string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: Misconfigured, Message: "the authority of " + store + " (caSecretRef, or ca.crt in the admin Secret) cannot be used", Cause: err}
}

// fixed always answers with the certificate; nil: there is none.
func fixed(certificate *tls.Certificate) func() (*tls.Certificate, error) {
	if certificate == nil {
		return nil
	}
	return func() (*tls.Certificate, error) { return certificate, nil }
}

// gameConfig is how the servers of a game connect, with the login of a slot.
func (p *Postgres) gameConfig(t tenant.Tenant, slot tenant.Slot, password string) (config *pgx.ConnConfig, err error) {
	config = p.config.Copy()
	config.Fallbacks = nil
	config.User, config.Password = t.LoginRole(slot), password
	config.TLSConfig, err = postgresTLS(p.admin, p.admin.Host, p.admin.GameCertificate)
	return config, err
}

// wantsCertificate says whether PostgreSQL, or a pooler, refused a login as it came without
// a client certificate. Where its messages are in another language, that is not seen.
func wantsCertificate(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && strings.Contains(refused.Message, "client certificate")
}

// certificateError says what is to be done where a store refused the client's certificate,
// or that there is none; empty: the error has another cause.
func certificateError(store string, err error) string {
	const where = "tls.crt and tls.key in the admin Secret, or clientCertificateSecretRef of the LeaderboardClass"
	var refused *tlsclient.CertificateError
	switch {
	case wantsCertificate(err), errors.As(err, &refused) && refused.Missing:
		return store + " asks for a client certificate, and there is none: set " + where
	case refused != nil, tlsclient.Alert(err):
		return store + " does not accept the client certificate: check " + where
	default:
		return ""
	}
}
