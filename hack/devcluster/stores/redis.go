package stores

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/config"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/process"
)

// Redis is what it takes to run the Redis server.
type Redis struct {
	config *config.Config
	access *Access
}

// NewRedis prepares a server; it does not start it.
func NewRedis(c *config.Config, access *Access) *Redis { return &Redis{config: c, access: access} }

func (r *Redis) dir() string { return r.config.Path("redis") }

func (r *Redis) aclFile() string { return filepath.Join(r.dir(), "users.acl") }

// Spec is the process to run. Users that the ACL file has lost are not made
// anew, except the administrator.
func (r *Redis) Spec() (process.Spec, error) {
	binary, err := find("redis-server", "redis-server")
	if err != nil {
		return process.Spec{}, err
	}
	if err := os.MkdirAll(r.dir(), 0o700); err != nil {
		return process.Spec{}, fmt.Errorf("make the data folder of Redis: %w", err)
	}

	if _, err := os.Stat(r.aclFile()); errors.Is(err, fs.ErrNotExist) {
		users := fmt.Sprintf("user default off\nuser %s on >%s ~* &* +@all\n", r.access.RedisUser, r.access.RedisPassword)
		if err := os.WriteFile(r.aclFile(), []byte(users), 0o600); err != nil {
			return process.Spec{}, fmt.Errorf("write the ACL file of Redis: %w", err)
		}
	}

	log, err := process.OpenLog(r.config.Path("logs", "redis.log"))
	if err != nil {
		return process.Spec{}, err
	}

	return process.Spec{Path: binary, Dir: r.dir(), Output: log, Args: []string{"redis-server",
		"--bind", r.access.RedisHost, "--port", strconv.Itoa(r.access.RedisPort), "--dir", r.dir(),
		"--aclfile", r.aclFile(), "--appendonly", "yes", "--save", ""}}, nil
}

// LoseUsers removes the ACL file, as when a server is replaced by an empty one.
// It must not run meanwhile.
func (r *Redis) LoseUsers() error {
	if err := os.Remove(r.aclFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the ACL file: %w", err)
	}
	return nil
}

// Ready says whether the server answers its administrator.
func (r *Redis) Ready(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: r.config.On(r.access.RedisPort), Username: r.access.RedisUser,
		Password: r.access.RedisPassword, MaxRetries: -1, DialerRetries: 1})
	defer client.Close()
	return client.Ping(ctx).Err()
}
