package provision

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// CheckPooler says whether the pooler answers, where there is one. It does not log
// in: the pooler need not know the administrator.
func (p *Postgres) CheckPooler(ctx context.Context) error {
	if p.admin.PoolerHost == "" {
		return nil
	}

	address := net.JoinHostPort(p.admin.PoolerHost, strconv.Itoa(p.admin.PoolerPort))
	conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return &Error{Kind: Unreachable, Message: fmt.Sprintf("the pooler %s did not answer", address), Cause: short(err)}
	}
	_ = conn.Close() // nothing was sent

	return nil
}

// VerifyPooledLogin says whether a slot can log in through the pooler, where there
// is one, as the servers of the game will.
func (p *Postgres) VerifyPooledLogin(ctx context.Context, t tenant.Tenant, slot tenant.Slot, password string) error {
	if p.admin.PoolerHost == "" {
		return nil
	}

	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	config, err := p.gameConfig(t, slot, password)
	if err != nil {
		return err
	}

	config.Host, config.Port = p.admin.PoolerHost, uint16(p.admin.PoolerPort)
	config.RuntimeParams = nil // PgBouncer refuses what it does not know
	if config.TLSConfig, err = postgresTLS(p.admin, config.Host, p.admin.GameCertificate); err != nil {
		return err
	}
	asked := false
	if config.TLSConfig != nil && p.admin.GameCertificate == nil {
		config.TLSConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return &tls.Certificate{}, nil
		}
	}

	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		// A pooler lets clients in before it connects to PostgreSQL.
		err = conn.Ping(ctx)
		_ = conn.Close(ctx)
	}

	switch {
	case err == nil:
		return nil
	case sqlState(err) == stateTooManyConnections: // it is refused only once the password was right
		return nil
	case wantsCertificate(err), asked && sqlState(err) == "" && distrust(err) == nil:
		return &Error{Kind: Refused, Message: fmt.Sprintf("the pooler %s asks games for a client certificate: set postgres.clientCertificateSecretRef of the LeaderboardClass, or its client_tls_sslmode to require", config.Host), Cause: short(err)}
	case sqlState(err) != "":
		return &Error{Kind: Refused, Message: fmt.Sprintf("the pooler %s refused the login %s: let it look passwords up with auth_query, as docs/install.md shows", config.Host, config.User), Cause: short(err)}
	default:
		return postgresError(err, "log in through the pooler %s as %s", config.Host, config.User)
	}
}
