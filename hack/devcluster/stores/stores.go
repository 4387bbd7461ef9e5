// Package stores runs PostgreSQL and Redis beside the cluster, set up as a
// platform team would set up shared servers: an administrator without superuser
// rights in PostgreSQL, and an ACL file with the default user off in Redis.
package stores

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/config"
)

// Access is how the stores are reached, from the machine and from Pods. It is
// kept in stores.json, for whoever installs the platform.
type Access struct {
	PostgresHost     string `json:"postgresHost"`
	PostgresPort     int    `json:"postgresPort"`
	PostgresDatabase string `json:"postgresDatabase"`
	PostgresUser     string `json:"postgresUser"`
	PostgresPassword string `json:"postgresPassword"`
	// PostgresSuperuserPassword is of the role postgres; only devcluster uses it.
	PostgresSuperuserPassword string `json:"postgresSuperuserPassword"`
	RedisHost                 string `json:"redisHost"`
	RedisPort                 int    `json:"redisPort"`
	RedisUser                 string `json:"redisUser"`
	RedisPassword             string `json:"redisPassword"`
}

// LoadAccess reads stores.json, or makes it with new passwords.
func LoadAccess(c *config.Config) (*Access, error) {
	path := c.Path("stores.json")
	access := &Access{}
	content, err := os.ReadFile(path)

	switch {
	case err == nil:
		if err := json.Unmarshal(content, access); err != nil {
			return nil, fmt.Errorf("%s is damaged (run devcluster up --fresh): %w", path, err)
		}
	case errors.Is(err, fs.ErrNotExist):
		access.PostgresPassword, access.PostgresSuperuserPassword, access.RedisPassword = rand.Text(), rand.Text(), rand.Text()
	default:
		return nil, fmt.Errorf("read the access of the stores: %w", err)
	}

	node := c.NodeIP().String()
	access.PostgresHost, access.PostgresPort, access.PostgresDatabase, access.PostgresUser = node, c.PostgresPort, "leaderboards", "leaderboard_admin"
	access.RedisHost, access.RedisPort, access.RedisUser = node, c.RedisPort, "leaderboard-admin"
	content, err = json.MarshalIndent(access, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the access of the stores: %w", err)
	}
	if err := os.WriteFile(path, append(content, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("write the access of the stores: %w", err)
	}

	return access, nil
}

// find looks for a program in PATH and, for PostgreSQL, where Debian puts it.
func find(name, debianPackage string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if matches, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(matches) > 0 {
		return matches[len(matches)-1], nil
	}
	return "", fmt.Errorf("%s is not installed. Type: apt-get install %s", name, debianPackage)
}
