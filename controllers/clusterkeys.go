package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/workloads"
)

// The keys of tokens of ServiceAccounts. Clusters let every ServiceAccount read them
// (system:service-account-issuer-discovery), unless that was taken away.
//
// +kubebuilder:rbac:urls=/.well-known/openid-configuration;/openid/v1/jwks,verbs=get

const (
	// clusterKeysAge is how old the keys may be that games are given.
	clusterKeysAge = time.Minute
	// clusterKeysTimeout bounds one look for them.
	clusterKeysTimeout = 10 * time.Second
)

// clusterKeys are the keys with which the cluster signs tokens of ServiceAccounts. Servers get
// them from the operator, so that they need neither rights at the API server nor a way to it.
type clusterKeys struct {
	get func(ctx context.Context, path string) ([]byte, error)

	mu     sync.Mutex
	readAt time.Time
	issuer string
	keys   json.RawMessage
}

func newClusterKeys(config *rest.Config) (*clusterKeys, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client for the cluster's keys: %w", err)
	}
	return &clusterKeys{get: func(ctx context.Context, path string) ([]byte, error) {
		return client.RESTClient().Get().AbsPath(path).DoRaw(ctx)
	}}, nil
}

// read returns the issuer of tokens, and the keys as a JSON Web Key Set.
func (k *clusterKeys) read(ctx context.Context) (issuer string, keys json.RawMessage, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.readAt) < clusterKeysAge {
		return k.issuer, k.keys, nil
	}

	ctx, cancel := context.WithTimeout(ctx, clusterKeysTimeout)
	defer cancel()

	configuration, err := k.get(ctx, "/.well-known/openid-configuration")
	if err != nil {
		return "", nil, fmt.Errorf("read the cluster's OpenID configuration: %w", err)
	}
	var about struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(configuration, &about); err != nil || about.Issuer == "" {
		return "", nil, errors.New("the cluster's OpenID configuration names no issuer")
	}

	set, err := k.get(ctx, "/openid/v1/jwks")
	if err != nil {
		return "", nil, fmt.Errorf("read the cluster's keys: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, set); err != nil {
		return "", nil, fmt.Errorf("read the cluster's keys: %w", err)
	}
	k.readAt, k.issuer, k.keys = time.Now(), about.Issuer, compact.Bytes()
	return k.issuer, k.keys, nil
}

// workloadsFile is what the servers are told of ServiceAccounts; nil: nothing, and they never
// were. Without the cluster's keys of now those are kept that the servers have.
func (r *LeaderboardReconciler) workloadsFile(ctx context.Context, p *pass, state *accountState) ([]byte, error) {
	mappings := workload.Mappings(p.lb)
	file, err := workloads.Parse(ownData(p.lb, state.secret, workload.WorkloadsKey))
	known := err == nil
	if len(mappings) == 0 && !known {
		return nil, nil
	}

	file.Mappings = mappings
	if settings := p.class.Spec.ServiceAccountIssuer; settings != nil {
		issuer, keys, err := r.clusterKeys.read(ctx)
		switch {
		case err != nil && !known:
			return nil, err
		case err != nil:
			p.later = errors.Join(p.later, err)
		default:
			file.Issuer, file.Keys = issuer, keys
		}
		file.Audience = settings.Audience
		if settings.Issuer != "" {
			file.Issuer = settings.Issuer
		}
	}
	return file.Marshal()
}
