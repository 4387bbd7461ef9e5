package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// PostgresID identifies a database as no address can: a host name may lead to
// another server tomorrow.
type PostgresID struct {
	// Server is the system identifier, which initdb makes and physical copies keep:
	// https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-CONTROL-SYSTEM
	Server string `json:"server,omitempty"`
	// Database is the oid of the database.
	Database int64 `json:"database,omitempty"`
}

// String is how messages and approvals name the database.
func (id PostgresID) String() string { return id.Server + "/" + strconv.FormatInt(id.Database, 10) }

// ApprovalOfMove is the word by which the platform team approves that games whose
// scores are in one database go on in another.
func ApprovalOfMove(from, to PostgresID) string { return ApprovalOf(moveOf(from, to)) }

func moveOf(from, to PostgresID) string { return "postgres " + from.String() + " " + to.String() }

// ApprovalOfRedisMove is the same for Redis.
func ApprovalOfRedisMove(from, to string) string { return ApprovalOf("redis " + from + " " + to) }

// ID is the database as it was identified last; asked for if it was not yet.
func (p *Postgres) ID(ctx context.Context) (PostgresID, error) {
	if id := p.id.Load(); id != nil {
		return *id, nil
	}
	return p.Identify(ctx)
}

// Identify asks PostgreSQL which database it is. From then on, writes are refused
// on any other one.
func (p *Postgres) Identify(ctx context.Context) (PostgresID, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	id, err := readID(ctx, p.pool)
	if err != nil {
		return PostgresID{}, postgresError(err, "identify PostgreSQL")
	}

	p.id.Store(&id)
	return id, nil
}

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readID(ctx context.Context, q rowQuerier) (id PostgresID, err error) {
	err = q.QueryRow(ctx, "SELECT system_identifier::text, oid::int8 FROM pg_control_system(), pg_database WHERE datname = current_database()").
		Scan(&id.Server, &id.Database)
	return id, err
}

// checkID refuses to go on in a database that is not the one that was identified.
func (p *Postgres) checkID(ctx context.Context, tx pgx.Tx) error {
	id, err := readID(ctx, tx)
	if err != nil {
		return err
	}
	if p.id.CompareAndSwap(nil, &id) {
		return nil
	}
	if known := *p.id.Load(); known != id {
		return &Error{Kind: Unreachable, Message: fmt.Sprintf("PostgreSQL at %s is the database %s, and was %s a moment ago", p.admin.Host, id, known)}
	}

	return nil
}

// Keys of the operator in Redis. No tenant's prefix begins like them.
const (
	redisIDKey     = "leaderboard-operator:id"
	redisOwnersKey = "leaderboard-operator:owners"
)

// ID is the identity of the deployment as it was found last; asked for if it was not
// yet.
func (r *Redis) ID(ctx context.Context) (string, error) {
	if id := r.id.Load(); id != nil {
		return *id, nil
	}
	return r.Identify(ctx)
}

// Identify returns the identity of the Redis deployment, which a Redis that has none
// (it is new, or was emptied) is given now.
func (r *Redis) Identify(ctx context.Context) (string, error) {
	var id string
	err := r.onKeeper(ctx, func(ctx context.Context, keeper redis.Cmdable) error {
		var err error
		if id, err = keeper.Get(ctx, redisIDKey).Result(); !errors.Is(err, redis.Nil) {
			return err
		}
		if err = keeper.SetNX(ctx, redisIDKey, rand.Text(), 0).Err(); err != nil {
			return err
		}
		id, err = keeper.Get(ctx, redisIDKey).Result()
		return err
	})
	if err != nil {
		return "", err
	}

	r.id.Store(&id)
	return id, nil
}
