package stores

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// RedisOptions says how a Redis server is started. The zero value is a
// throwaway server without persistence and without authentication.
type RedisOptions struct {
	// Dir keeps dump and append-only files. Empty: a temporary folder that
	// Close removes.
	Dir string
	// Port on 127.0.0.1; 0: a free one.
	Port int
	// ACLFile gives the server an ACL file in which "default" is off and the
	// user "admin" (see [Redis.AdminPassword]) may do everything, as a shared
	// production server should have it.
	ACLFile bool
	// Authority, where set, signs a certificate for the server, which then takes
	// encrypted connections only.
	Authority *Authority
	// ClientCertificates has clients show a certificate of the authority, which is what Redis
	// asks for unless it is told otherwise.
	ClientCertificates bool
	// Args are further arguments of redis-server, e.g. {"--appendonly", "yes"}.
	Args []string
}

// AdminUser is the user of [Redis.AdminPassword] where RedisOptions.ACLFile is set.
const AdminUser = "admin"

const redisAdminPassword = "admin-of-a-throwaway-server"

// Redis is a running Redis (or Valkey) server.
type Redis struct {
	Port int
	// Dir holds the server's files: dump.rdb, users.acl, server.log.
	Dir string

	options   RedisOptions
	binary    string
	temporary bool
	process   *process
}

// StartRedis starts a server and returns once it answers.
func StartRedis(ctx context.Context, options RedisOptions) (*Redis, error) {
	r := &Redis{options: options, Dir: options.Dir, Port: options.Port, binary: os.Getenv("REDIS_SERVER")}
	var err error
	if r.binary == "" {
		if r.binary, err = findBinary("", "redis-server"); err != nil {
			return nil, err
		}
	}

	if r.Dir == "" {
		if r.Dir, err = os.MkdirTemp("", "redis-"); err != nil {
			return nil, fmt.Errorf("make the data folder of Redis: %w", err)
		}
		r.temporary = true
	}

	if r.Port == 0 {
		if r.Port, err = freePort(); err != nil {
			return nil, err
		}
	}

	if err := r.Start(ctx); err != nil {
		r.Close()
		return nil, err
	}

	return r, nil
}

// Start starts a server that [Redis.Stop] or [Redis.Kill] has ended, on the
// same port with the files in Dir, and returns once it answers. The ACL file is
// written anew if there is none: removing it loses every user but "admin".
func (r *Redis) Start(ctx context.Context) error {
	args := []string{"--port", strconv.Itoa(r.Port), "--bind", "127.0.0.1", "--dir", r.Dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no"}
	if r.options.ACLFile {
		if err := r.writeACLFile(); err != nil {
			return err
		}
		args = append(args, "--aclfile", r.ACLPath())
	}

	if r.options.Authority != nil {
		if err := r.options.Authority.certify(r.certificatePath(), nil); err != nil {
			return err
		}
		args = append(append(args, "--port", "0"), tlsArgs("--", r.Port, r.certificatePath(), r.options.ClientCertificates)...)
	}

	child, err := startProcess(r.binary, append(args, r.options.Args...), nil, r.LogFile(), nil)
	if err != nil {
		return err
	}

	r.process = child
	options := r.clientOptions()

	options.MaxRetries, options.DialerRetries = -1, 1 // ready is what retries
	client := redis.NewClient(options)
	defer client.Close()

	return child.ready(ctx, "Redis", r.LogFile(), func(ctx context.Context) error {
		return client.Ping(ctx).Err() // also refused while a dump is being loaded
	})
}

// tlsArgs are the settings of a server, or a Sentinel, that takes encrypted connections
// only. Each name begins with dashes or not, as it stands in arguments or in a file.
func tlsArgs(dashes string, port int, certificate string, clientCertificates bool) []string {
	clients := "no"
	if clientCertificates {
		clients = "yes"
	}
	return []string{dashes + "tls-port", strconv.Itoa(port), dashes + "tls-auth-clients", clients, dashes + "tls-replication", "yes",
		dashes + "tls-cert-file", certificate, dashes + "tls-key-file", certificate + ".key", dashes + "tls-ca-cert-file", certificate + ".ca"}
}

// LogFile is where the server logs.
func (r *Redis) LogFile() string { return filepath.Join(r.Dir, "server.log") }

// ACLPath is the ACL file's path.
func (r *Redis) ACLPath() string { return filepath.Join(r.Dir, "users.acl") }

func (r *Redis) writeACLFile() error {
	if _, err := os.Stat(r.ACLPath()); err == nil {
		return nil
	}

	users := "user default off\nuser " + AdminUser + " on >" + redisAdminPassword + " ~* &* +@all\n"
	if err := os.WriteFile(r.ACLPath(), []byte(users), 0o600); err != nil {
		return fmt.Errorf("write the ACL file of Redis: %w", err)
	}

	return nil
}

func (r *Redis) certificatePath() string { return filepath.Join(r.Dir, "server.crt") }

// Address is host:port.
func (r *Redis) Address() string { return address(r.Port) }

// AdminPassword is the password of AdminUser, or empty where the server has no
// ACL file.
func (r *Redis) AdminPassword() string {
	if r.options.ACLFile {
		return redisAdminPassword
	}
	return ""
}

// Client connects as the administrator. The caller closes it.
func (r *Redis) Client() *redis.Client { return redis.NewClient(r.clientOptions()) }

func (r *Redis) clientOptions() *redis.Options {
	options := &redis.Options{Addr: r.Address()}
	if r.options.ACLFile {
		options.Username, options.Password = AdminUser, redisAdminPassword
	}

	if r.options.Authority != nil {
		options.TLSConfig = r.options.Authority.clientConfig()
	}

	return options
}

// Stop ends the server in an orderly way; what it keeps depends on its
// persistence settings. [Redis.Start] starts it again.
func (r *Redis) Stop() { r.process.signal(syscall.SIGTERM) }

// Kill ends the server at once (SIGKILL).
func (r *Redis) Kill() { r.process.signal(syscall.SIGKILL) }

// Close ends the server and removes a temporary data folder.
func (r *Redis) Close() {
	if r.process != nil {
		r.process.signal(syscall.SIGKILL)
	}
	if r.temporary {
		_ = os.RemoveAll(r.Dir)
	}
}

// PID is the process id of the running server.
func (r *Redis) PID() int { return r.process.pid() }
