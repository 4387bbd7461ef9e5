// Package config says where a devcluster keeps its data and which ports and
// addresses it uses.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Config is what tells one devcluster from another on the same machine.
type Config struct {
	// StateDir keeps certificates, data and logs.
	StateDir string
	// APIPort is the API server's, on 127.0.0.1 and on the bridge's address.
	APIPort int
	// IngressPort is the ingress's, on 127.0.0.1.
	IngressPort int
	// PostgresPort and RedisPort are the stores', on the bridge's address.
	PostgresPort, RedisPort int
	// PodCIDR is the Pods' network; its first address is the bridge's.
	PodCIDR netip.Prefix
	// Images maps the last part of an image's repository to a static binary.
	Images map[string]string
	// Stores: run PostgreSQL and Redis.
	Stores bool
}

// ServiceCIDR holds the cluster addresses of Services. Nothing answers there:
// clients come in through the ingress.
const ServiceCIDR = "10.96.0.0/16"

// Default returns the configuration that the environment asks for.
func Default() (*Config, error) {
	c := &Config{StateDir: ".devcluster/dev", Images: map[string]string{}, Stores: true}
	if dir := os.Getenv("DEVCLUSTER_STATE"); dir != "" {
		c.StateDir = dir
	}

	ports := []struct {
		variable string
		port     *int
		fallback int
	}{
		{"DEVCLUSTER_API_PORT", &c.APIPort, 26443},
		{"DEVCLUSTER_INGRESS_PORT", &c.IngressPort, 8088},
		{"DEVCLUSTER_POSTGRES_PORT", &c.PostgresPort, 25432},
		{"DEVCLUSTER_REDIS_PORT", &c.RedisPort, 26379},
	}

	for _, p := range ports {
		*p.port = p.fallback
		if text := os.Getenv(p.variable); text != "" {
			port, err := strconv.ParseUint(text, 10, 16)
			if err != nil || port == 0 {
				return nil, fmt.Errorf("%s is %q; it must be a port from 1 to 65535", p.variable, text)
			}
			*p.port = int(port)
		}
	}

	cidr := "10.244.0.0/24"
	if text := os.Getenv("DEVCLUSTER_POD_CIDR"); text != "" {
		cidr = text
	}

	var err error
	if c.PodCIDR, err = netip.ParsePrefix(cidr); err != nil || !c.PodCIDR.Addr().Is4() || !c.PodCIDR.Addr().IsPrivate() || c.PodCIDR.Bits() > 28 {
		return nil, fmt.Errorf("DEVCLUSTER_POD_CIDR is %q; it must be a private IPv4 network of 16 addresses or more, for example 10.244.0.0/24", cidr)
	}

	c.PodCIDR = c.PodCIDR.Masked()
	if c.StateDir, err = filepath.Abs(c.StateDir); err != nil {
		return nil, fmt.Errorf("resolve the state directory: %w", err)
	}

	return c, nil
}

// AddImage takes "name=path": Pods whose image is name run the binary at path.
func (c *Config) AddImage(mapping string) error {
	name, path, ok := strings.Cut(mapping, "=")
	if !ok || name == "" {
		return fmt.Errorf("--image %s must be name=path of a static binary", mapping)
	}

	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", path, err)
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("--image %s: %s is not a file: build it first", mapping, path)
	}

	c.Images[name] = path
	return nil
}

// Path is a path beneath the state directory.
func (c *Config) Path(parts ...string) string {
	return filepath.Join(append([]string{c.StateDir}, parts...)...)
}

// NodeIP is the bridge's address: the API server, the stores and the node's own
// API listen there, where both the machine and the Pods reach them.
func (c *Config) NodeIP() netip.Addr { return c.PodCIDR.Addr().Next() }

// On is host:port with the bridge's address.
func (c *Config) On(port int) string {
	return net.JoinHostPort(c.NodeIP().String(), strconv.Itoa(port))
}

// APIAddress is where this machine reaches the API server. It is no address of
// the bridge: without one, packets to it would leave the machine.
func (c *Config) APIAddress() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.APIPort))
}

// IngressAddress is where the ingress listens.
func (c *Config) IngressAddress() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.IngressPort))
}

// ID is a short name of this devcluster, for network devices (15 bytes at most).
func (c *Config) ID() string {
	sum := sha256.Sum256([]byte(c.StateDir))
	return "lb" + hex.EncodeToString(sum[:3])
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Config) Kubeconfig() string { return c.Path("kubeconfig") }
