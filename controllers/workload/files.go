package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Keys of the Secret with the credentials.
const (
	// SlotKey says which of the two alternating login roles is served: a or b.
	SlotKey = "slot"
	// PostgresUsernameKey and the next ones are one store's login.
	PostgresUsernameKey = "postgres-username"
	PostgresPasswordKey = "postgres-password"
	// DatabaseURLKey is the login to Postgres as the server takes it.
	DatabaseURLKey = "database-url"
	// DatabaseDirectURLKey is the same login past the class's pooler. It is there
	// only if the class has one.
	DatabaseDirectURLKey = "database-direct-url"
	RedisUsernameKey     = "redis-username"
	RedisPasswordKey     = "redis-password"
	// PostgresCAKey and RedisCAKey are PEM authorities, where the class has any.
	PostgresCAKey = "postgres-ca.crt"
	RedisCAKey    = "redis-ca.crt"
	// PostgresCertKey and the next ones are client certificates with their keys in PEM, where
	// the class has any for games.
	PostgresCertKey = "postgres-tls.crt"
	PostgresKeyKey  = "postgres-tls.key"
	RedisCertKey    = "redis-tls.crt"
	RedisKeyKey     = "redis-tls.key"
	// SentinelUsernameKey and SentinelPasswordKey are the login to Sentinels, where they ask
	// for one.
	SentinelUsernameKey = "sentinel-username"
	SentinelPasswordKey = "sentinel-password"
)

// CertificateKeys are of what the server reads again for each connection.
var CertificateKeys = []string{PostgresCertKey, PostgresKeyKey, RedisCertKey, RedisKeyKey}

// LoginsKey is the key of the Secret with the same logins in one file, which the server
// reads again when it changes.
const LoginsKey = "logins.json"

// LoginsFile is the content of [LoginsKey].
func LoginsFile(postgresUser, postgresPassword, redisUser, redisPassword string) ([]byte, error) {
	file, err := json.MarshalIndent(config.Logins{Postgres: config.Login{Username: postgresUser, Password: postgresPassword},
		Redis: config.Login{Username: redisUser, Password: redisPassword}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the logins: %w", err)
	}
	return append(file, '\n'), nil
}

// SigningKeysKey is the key of the Secret with the signing keys.
const SigningKeysKey = "keys.json"

// Keys of the Secrets of service accounts.
const (
	// AccountsKey has the accounts with the hashes of their secrets, for the servers.
	AccountsKey = "accounts.json"
	// WorkloadsKey has the ServiceAccounts that are service accounts, for the servers.
	WorkloadsKey = "workloads.json"
	// PendingKey has secrets that the servers do not know yet for certain, by account. No
	// Pod is given it.
	PendingKey = "pending.json"

	// ClientIDKey and the next ones are those of an account.
	ClientIDKey     = "client-id"
	ClientSecretKey = "client-secret"
	TokenURLKey     = "token-url"
)

// Keys of the Secrets of webhooks.
const (
	// WebhooksKey has the webhooks with their secrets, for the servers.
	WebhooksKey = "webhooks.json"
	// SigningSecretKey is what messages to a webhook are signed with.
	SigningSecretKey = "signing-secret"
)

// Keys of the ConfigMap with the boards. connectionsKey has how many connections to Postgres a Pod
// may have: not in its environment, so that scaling replaces none.
const (
	boardsKey      = "boards.json"
	connectionsKey = "database-connections"
)

// Where things are in the container.
const (
	boardsDir      = "/etc/leaderboard/boards"
	signingKeysDir = "/etc/leaderboard/keys"
	loginsDir      = "/etc/leaderboard/logins"
	accountsDir    = "/etc/leaderboard/accounts"
	webhooksDir    = "/etc/leaderboard/webhooks"
	authoritiesDir = "/etc/leaderboard/authorities"
)

// Where the server finds the authority of Postgres, and its client certificate.
const (
	PostgresCAPath   = authoritiesDir + "/" + PostgresCAKey
	PostgresCertPath = authoritiesDir + "/" + PostgresCertKey
	PostgresKeyPath  = authoritiesDir + "/" + PostgresKeyKey
)

// boardsFile is the file with the game's boards for the server, in the format
// that the package leaderboard of the server documents: the fields of the
// resource. The board global is in it only if it is configured: it always exists.
func boardsFile(lb *v1alpha1.Leaderboard) ([]byte, error) {
	boards := lb.Spec.DefaultedBoards()
	content := map[string]any{"boards": boards}
	if global := lb.Spec.DefaultedGlobal(); global != nil {
		content["global"] = global
	}
	// Servers of a version without them refuse the field.
	if len(lb.Spec.Attributes) > 0 {
		content["attributes"] = lb.Spec.Attributes
	}
	encode := func(content any) ([]byte, error) { return json.MarshalIndent(content, "", "  ") }
	if slices.ContainsFunc(boards, func(b v1alpha1.Board) bool { return b.Metadata != nil && b.Metadata.Schema != nil }) {
		encode = json.Marshal // indented, a schema that is nested deep would be a thousand times as long
	}
	file, err := encode(content)
	if err != nil {
		return nil, fmt.Errorf("encode the boards: %w", err)
	}

	return append(file, '\n'), nil
}

// CheckBoards returns why the server would refuse the boards, beyond what the API server
// checks.
func CheckBoards(lb *v1alpha1.Leaderboard) error {
	file, err := boardsFile(lb)
	if err != nil {
		return err
	}
	_, err = leaderboard.ParseBoards(file)
	if refused := (*leaderboard.Error)(nil); errors.As(err, &refused) {
		return errors.New(refused.Message)
	}
	return err
}

func boardsConfigMap(in Input) (*corev1ac.ConfigMapApplyConfiguration, error) {
	lb := in.Leaderboard
	file, err := boardsFile(lb)
	if err != nil {
		return nil, err
	}

	limit, pods := ConnectionLimit(in.Class), MaxReplicas(lb, in.Class)
	connections := PoolSize(limit, pods)
	if connections == 0 {
		return nil, fmt.Errorf("%d Postgres connections do not suffice for %d Pods", limit, pods)
	}

	return ofGame(corev1ac.ConfigMap(BoardsName(lb), lb.Namespace), lb, in.Class).
		WithData(map[string]string{boardsKey: string(file), connectionsKey: strconv.Itoa(int(connections)) + "\n"}), nil
}

// CredentialsSecret holds the tenant's logins and nothing else.
func CredentialsSecret(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass, data map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return secret(lb, class, CredentialsName(lb), data)
}

// SigningKeysSecret holds the keys that sign the game's tokens.
func SigningKeysSecret(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass, keySet []byte) *corev1ac.SecretApplyConfiguration {
	return secret(lb, class, SigningKeysName(lb), map[string][]byte{SigningKeysKey: keySet})
}

// AccountsSecret holds the service accounts: data is of [AccountsKey] and [PendingKey].
func AccountsSecret(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass, data map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return secret(lb, class, AccountsName(lb), data)
}

// AccountSecret holds the credentials of a service account.
func AccountSecret(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass, account, clientSecret string) *corev1ac.SecretApplyConfiguration {
	return secret(lb, class, AccountName(lb, account), map[string][]byte{
		ClientIDKey:     []byte(account),
		ClientSecretKey: []byte(clientSecret),
		TokenURLKey:     []byte(Endpoint(lb, class) + "/v1/auth/token"),
	})
}

// WebhooksSecret holds the webhooks and what their messages are signed with, for the servers.
func WebhooksSecret(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass, webhooks []byte) *corev1ac.SecretApplyConfiguration {
	return secret(lb, class, WebhooksName(lb), map[string][]byte{WebhooksKey: webhooks})
}

// WebhookSecret holds what the messages to a webhook are signed with, for its receiver.
func WebhookSecret(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass, webhook, signingSecret string) *corev1ac.SecretApplyConfiguration {
	return secret(lb, class, WebhookName(lb, webhook), map[string][]byte{SigningSecretKey: []byte(signingSecret)})
}

func secret(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass, name string, data map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return ofGame(corev1ac.Secret(name, lb.Namespace), lb, class).
		WithType(corev1.SecretTypeOpaque).
		WithData(data)
}

// Checksum is the SHA-256 over keys and values, each with its length, so that
// nothing can move from one to the other unnoticed.
func Checksum(data map[string][]byte) string {
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		sum.Write([]byte(strconv.Itoa(len(key)) + ":" + key + strconv.Itoa(len(data[key])) + ":"))
		sum.Write(data[key])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// volumes are mounted as folders, not files: only so does the node update them
// in place, which is how new signing keys and logins reach a running server.
func volumes(in Input) []*corev1ac.VolumeApplyConfiguration {
	const mode = 0o444 // the container has one user, and cannot write anyhow
	lb := in.Leaderboard
	list := []*corev1ac.VolumeApplyConfiguration{
		corev1ac.Volume().WithName("boards").WithConfigMap(corev1ac.ConfigMapVolumeSource().
			WithName(BoardsName(lb)).WithDefaultMode(mode)),
		corev1ac.Volume().WithName("keys").WithSecret(corev1ac.SecretVolumeSource().
			WithSecretName(SigningKeysName(lb)).WithDefaultMode(mode)),
		corev1ac.Volume().WithName("logins").WithSecret(corev1ac.SecretVolumeSource().
			WithSecretName(CredentialsName(lb)).WithDefaultMode(mode).
			WithItems(corev1ac.KeyToPath().WithKey(LoginsKey).WithPath(LoginsKey))),
	}

	if len(lb.Spec.ServiceAccounts) > 0 {
		source := corev1ac.SecretVolumeSource().WithSecretName(AccountsName(lb)).WithDefaultMode(mode).
			WithItems(corev1ac.KeyToPath().WithKey(AccountsKey).WithPath(AccountsKey))
		if len(Mappings(lb)) > 0 {
			source.WithItems(corev1ac.KeyToPath().WithKey(WorkloadsKey).WithPath(WorkloadsKey))
		}
		list = append(list, corev1ac.Volume().WithName("accounts").WithSecret(source))
	}

	if len(lb.Spec.Webhooks) > 0 {
		list = append(list, corev1ac.Volume().WithName("webhooks").WithSecret(corev1ac.SecretVolumeSource().
			WithSecretName(WebhooksName(lb)).WithDefaultMode(mode)))
	}

	if keys := authorityKeys(in); len(keys) > 0 {
		source := corev1ac.SecretVolumeSource().WithSecretName(CredentialsName(lb)).WithDefaultMode(mode)
		for _, key := range keys {
			source.WithItems(corev1ac.KeyToPath().WithKey(key).WithPath(key))
		}
		list = append(list, corev1ac.Volume().WithName("authorities").WithSecret(source))
	}

	return list
}

func volumeMounts(in Input) []*corev1ac.VolumeMountApplyConfiguration {
	list := []*corev1ac.VolumeMountApplyConfiguration{
		corev1ac.VolumeMount().WithName("boards").WithMountPath(boardsDir).WithReadOnly(true),
		corev1ac.VolumeMount().WithName("keys").WithMountPath(signingKeysDir).WithReadOnly(true),
		corev1ac.VolumeMount().WithName("logins").WithMountPath(loginsDir).WithReadOnly(true),
	}
	if len(in.Leaderboard.Spec.ServiceAccounts) > 0 {
		list = append(list, corev1ac.VolumeMount().WithName("accounts").WithMountPath(accountsDir).WithReadOnly(true))
	}
	if len(in.Leaderboard.Spec.Webhooks) > 0 {
		list = append(list, corev1ac.VolumeMount().WithName("webhooks").WithMountPath(webhooksDir).WithReadOnly(true))
	}
	if len(authorityKeys(in)) > 0 {
		list = append(list, corev1ac.VolumeMount().WithName("authorities").WithMountPath(authoritiesDir).WithReadOnly(true))
	}

	return list
}

func authorityKeys(in Input) []string {
	var keys []string
	if in.PostgresCA {
		keys = append(keys, PostgresCAKey)
	}

	if in.RedisCA {
		keys = append(keys, RedisCAKey)
	}

	if in.Class.Spec.Postgres.ClientCertificateSecretRef != nil {
		keys = append(keys, PostgresCertKey, PostgresKeyKey)
	}

	if in.Class.Spec.Redis.ClientCertificateSecretRef != nil {
		keys = append(keys, RedisCertKey, RedisKeyKey)
	}

	return keys
}
