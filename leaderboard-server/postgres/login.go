package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// login takes the place of the one in the URLs.
type login struct{ username, password string }

// use sets the login on what a connection is made from; nil leaves that of the URL.
func (l *login) use(c *pgx.ConnConfig) {
	if l != nil {
		c.User, c.Password = l.username, l.password
	}
}

// errLoginReplaced ends the lead, whose session would be the last of the old login.
var errLoginReplaced = errors.New("the login was replaced")

// SetLogin makes all further connections with another login, once that has been seen to
// work: those that there are are closed as soon as nothing runs on them, and the lead is
// given up. It returns an error, and changes nothing, if the login is refused.
func (l *Ledger) SetLogin(ctx context.Context, username, password string) error {
	next := &login{username, password}
	if has := l.login.Load(); has != nil && *has == *next {
		return nil
	}

	pools := []*pool{l.pool, l.aside}
	if l.direct != l.pool {
		pools = append(pools, l.direct)
	}
	for _, pool := range pools {
		if err := l.try(ctx, pool, next); err != nil {
			return err
		}
	}

	l.login.Store(next)
	for _, pool := range pools {
		pool.Reset()
	}
	return nil
}

// try makes one connection with a login, where a pool makes its own.
func (l *Ledger) try(ctx context.Context, pool *pool, next *login) error {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	config := pool.Config().ConnConfig
	if err := renewCertificates(config.ConnString(), config); err != nil {
		return err
	}
	next.use(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("try the login %s: %w", next.username, err)
	}

	closeConn(conn)
	return nil
}
