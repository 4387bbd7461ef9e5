package keyset_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestRotation(t *testing.T) {
	const delay, keep = 2 * time.Minute, time.Hour
	first, err := keyset.New(now)
	require.NoError(t, err)
	old := first.Signer(now)

	second, err := first.Rotate(now, delay, keep)
	require.NoError(t, err)
	require.Len(t, second.Keys(), 2)
	require.Equal(t, old.ID(), second.Signer(now.Add(delay-time.Second)).ID(), "the new key is not active yet")
	next := second.Signer(now.Add(delay))
	require.NotEqual(t, old.ID(), next.ID())
	_, ok := second.Lookup(old.ID())
	require.True(t, ok, "the old key still verifies")

	require.Len(t, second.Prune(now.Add(delay+keep), keep).Keys(), 2)
	pruned := second.Prune(now.Add(delay+keep+time.Second), keep)
	require.Len(t, pruned.Keys(), 1)
	require.Equal(t, next.ID(), pruned.Signer(now).ID(), "a set always has a signer")
}

func TestFile(t *testing.T) {
	set, err := keyset.New(now)
	require.NoError(t, err)
	set, err = set.Rotate(now, time.Minute, time.Hour)
	require.NoError(t, err)
	file, err := set.Marshal()
	require.NoError(t, err)
	parsed, err := keyset.Parse(file)
	require.NoError(t, err)
	require.Len(t, parsed.Keys(), 2)

	for i, key := range set.Keys() {
		require.True(t, key.Private().Equal(parsed.Keys()[i].Private()))
		require.Equal(t, key.ActiveFrom(), parsed.Keys()[i].ActiveFrom())
		require.Equal(t, key.CreatedAt(), parsed.Keys()[i].CreatedAt())
	}

	_, err = keyset.Set{}.Marshal()
	require.Error(t, err)
}

func TestDamagedFiles(t *testing.T) {
	set, err := keyset.New(now)
	require.NoError(t, err)
	good, err := set.Marshal()
	require.NoError(t, err)
	var document struct {
		Keys []map[string]any `json:"keys"`
	}

	require.NoError(t, json.Unmarshal(good, &document))
	key := document.Keys[0]
	secret := key["d"].(string)
	with := func(name string, value any) []byte {
		changed := map[string]any{}
		for k, v := range key {
			changed[k] = v
		}

		changed[name] = value
		file, err := json.Marshal(map[string]any{"keys": []any{changed}})
		require.NoError(t, err)

		return file
	}

	twice, err := json.Marshal(map[string]any{"keys": []any{key, key}})
	require.NoError(t, err)
	for name, file := range map[string][]byte{
		"empty": nil, "cut": good[:len(good)/2], "no keys": []byte(`{"keys":[]}`), "twice": twice,
		"rsa": with("kty", "RSA"), "curve": with("crv", "X25519"), "alg": with("alg", "none"), "use": with("use", "enc"),
		"kid": with("kid", "other"), "x": with("x", secret), "d": with("d", "c2hvcnQ"), "d no base64": with("d", "!"),
		"no time": with("nbf", 0), "a wrong type": with("d", 7),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keyset.Parse(file)
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret)
		})
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	set, err := keyset.New(now)
	require.NoError(t, err)
	key := set.Signer(now)

	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		require.Equal(t, "key "+key.ID(), fmt.Sprintf(verb, key))
		require.Equal(t, "keys "+key.ID(), fmt.Sprintf(verb, set))
	}

	_, err = json.Marshal(set)
	require.Error(t, err, "only Marshal writes keys out")
}
