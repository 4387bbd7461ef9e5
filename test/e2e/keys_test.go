package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

// keyOf is the id of the key that signed a token.
func keyOf(t *testing.T, token string) string {
	t.Helper()
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	require.NoError(t, err)
	var header struct {
		Kid string `json:"kid"`
	}

	require.NoError(t, json.Unmarshal(head, &header))
	return header.Kid
}

// signingKeysSecret is the Secret that the game's Pods read their keys from.
func signingKeysSecret(t *testing.T, lb *games.Leaderboard) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: lb.Namespace, Name: workload.SigningKeysName(lb)}, secret))
	return secret
}

// signingKeys are those of the Secret.
func signingKeys(t *testing.T, lb *games.Leaderboard) keyset.Set {
	t.Helper()
	keys, err := keyset.Parse(signingKeysSecret(t, lb).Data[workload.SigningKeysKey])
	require.NoError(t, err)
	return keys
}

// login logs in as often as the server allows: after a refusal by its limit, it waits
// as long as the server asks for.
func login(ctx context.Context, c *gameclient.Client, username, password string) (token string, err error) {
	for {
		token, err = c.Login(ctx, username, password)
		var problem *gameclient.Problem
		if !errors.As(err, &problem) || problem.Status != http.StatusTooManyRequests {
			return token, err
		}

		select {
		case <-time.After(max(problem.RetryAfter, poll)):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// New signing keys reach Pods that run, without a restart, and old tokens stay good.
func TestKeysReachRunningPods(t *testing.T) {
	lb := create(t, game(namespace(t), "race", 2))
	c := connect(t, lb)
	_, err := c.Register(t.Context(), "ada", "correct horse battery")
	require.NoError(t, err)
	before, err := c.Login(t.Context(), "ada", "correct horse battery")
	require.NoError(t, err)
	pods := podsOf(t, lb)

	secret := signingKeysSecret(t, lb)
	rotated, err := signingKeys(t, lb).Rotate(time.Now(), 0, time.Hour)
	require.NoError(t, err)
	file, err := rotated.Marshal()
	require.NoError(t, err)
	_, err = patch(t.Context(), secret, func() { secret.Data[workload.SigningKeysKey] = file })
	require.NoError(t, err)

	// kubelet looks at Secrets once a minute or so, later on a busy machine. Each Pod
	// answers in turn.
	seen := 0
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), time.Second, 10*time.Minute, true, func(ctx context.Context) (bool, error) {
		token, err := login(ctx, c, "ada", "correct horse battery")
		if err != nil {
			return false, err
		}

		if keyOf(t, token) == keyOf(t, before) {
			seen = 0
		} else {
			seen++
		}

		return seen >= 5, nil
	}))

	_, err = c.Submit(t.Context(), before, "arena", 1, "")
	require.NoError(t, err, "a token of the old key")
	after := podsOf(t, lb)
	require.Len(t, after, len(pods))

	for _, pod := range after {
		require.Zero(t, pod.Status.ContainerStatuses[0].RestartCount)
		require.Contains(t, []string{string(pods[0].UID), string(pods[1].UID)}, string(pod.UID))
	}
}
