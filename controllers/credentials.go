package controllers

import (
	"context"
	"crypto/rand"
	"net"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
)

// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;create;patch;delete

// Secrets of games can be made, changed, deleted and got by name, and not listed or
// watched: that would show the operator every Secret of the cluster. A deleted
// one therefore comes back with the next resync.

// credentials are a tenant's logins, as its Secret serves them.
type credentials struct {
	slot             tenant.Slot
	postgresPassword string
	redisPassword    string
	data             map[string][]byte
}

// digest is by what the credentials are known again: of what was issued, and not of what
// follows from the class.
func (c *credentials) digest() string {
	return workload.Checksum(map[string][]byte{workload.SlotKey: []byte(c.slot),
		workload.PostgresPasswordKey: []byte(c.postgresPassword), workload.RedisPasswordKey: []byte(c.redisPassword)})
}

// checksum changes with anything that the servers are served. What they read at their
// start only has another one: see startChecksum.
func (c *credentials) checksum() string { return workload.Checksum(c.data) }

// ensureCredentials makes sure that the Secret with the logins exists. It comes
// before the login that it serves is given its password, so that a password that a store
// knows can be read from the Secret, whenever the operator is ended. A rotation, which
// has another login that is served meanwhile, does it the other way around.
//
// Credentials that are lost, or that somebody has written into the Secret, are replaced
// by ones of the other slot, so that the Pods that run on the lost ones go on working
// until they have read the new ones.
func (r *LeaderboardReconciler) ensureCredentials(ctx context.Context, p *pass) error {
	p.creds = readCredentials(p.served)
	if !p.fresh {
		if err := r.issueCredentials(ctx, p); err != nil {
			return err
		}
	}

	return r.serveCredentials(ctx, p)
}

// serveCredentials writes the Secret.
func (r *LeaderboardReconciler) serveCredentials(ctx context.Context, p *pass) (err error) {
	if p.creds.data, err = p.credentialsData(p.creds); err != nil {
		return secretFailure(err)
	}
	if err := r.applier.applySecret(ctx, p.lb.UID, workload.CredentialsSecret(p.lb, p.class, p.creds.data), p.served); err != nil {
		return secretFailure(err)
	}

	return nil
}

// issueCredentials compares what is served with what was issued last, and issues new
// credentials if it is not that.
func (r *LeaderboardReconciler) issueCredentials(ctx context.Context, p *pass) error {
	if p.issued == nil {
		issued, err := p.stores.postgres.Issued(ctx, p.tenant)
		if err != nil {
			return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
		}
		p.issued = &issued
	}
	if p.creds != nil && p.creds.digest() == p.issued.Digest {
		return nil
	}

	// What an operator that wrote nothing down has issued is taken as it is.
	if p.creds == nil || p.issued.Digest != "" {
		slot, err := p.stores.freeSlot(ctx, p.tenant, p.issued.Slot)
		if err != nil {
			return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
		}
		p.creds = newCredentials(slot)
		if p.conditions().isTrue(v1alpha1.ConditionSchemaReady) {
			r.Recorder.Eventf(p.lb, nil, corev1.EventTypeWarning, "CredentialsReplaced", "Provision",
				"The Secret %s was missing, damaged or written by somebody: new credentials are issued", workload.CredentialsName(p.lb))
		}
	}

	request := p.issued.Request
	if p.issued.Slot == "" {
		request = rotationRequest(p.lb)
	}
	return r.issue(ctx, p, request)
}

// issue writes down that the credentials of the pass are the ones.
func (r *LeaderboardReconciler) issue(ctx context.Context, p *pass, request string) error {
	issued := provision.Issued{Slot: p.creds.slot, Digest: p.creds.digest(), Request: request}
	if err := p.stores.postgres.Issue(ctx, p.tenant, p.claim, issued); err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	p.issued = &issued
	return nil
}

func newCredentials(slot tenant.Slot) *credentials {
	return &credentials{slot: slot, postgresPassword: rand.Text(), redisPassword: rand.Text()}
}

// readCredentials returns what the Secret serves, or nil if that cannot be used.
func readCredentials(secret *corev1.Secret) *credentials {
	if secret == nil {
		return nil
	}

	c := &credentials{
		slot:             tenant.Slot(secret.Data[workload.SlotKey]),
		postgresPassword: string(secret.Data[workload.PostgresPasswordKey]),
		redisPassword:    string(secret.Data[workload.RedisPasswordKey]),
	}
	if (c.slot != tenant.SlotA && c.slot != tenant.SlotB) || len(c.postgresPassword) < minPasswordLength || len(c.redisPassword) < minPasswordLength {
		return nil
	}

	return c
}

// minPasswordLength is that of rand.Text, 26 characters with 130 bits: what is
// shorter was not made by the operator.
const minPasswordLength = 26

// startChecksum changes with what servers read at their start only: all but logins, and
// client certificates, which are renewed every few weeks.
func (p *pass) startChecksum() (string, error) {
	data, err := p.credentialsData(&credentials{})
	for _, key := range workload.CertificateKeys {
		delete(data, key)
	}
	return workload.Checksum(data), err
}

// credentialsData is the content of the Secret that serves the credentials.
func (p *pass) credentialsData(creds *credentials) (map[string][]byte, error) {
	login := p.tenant.LoginRole(creds.slot)
	logins, err := workload.LoginsFile(login, creds.postgresPassword, p.tenant.RedisUser(), creds.redisPassword)
	if err != nil {
		return nil, err
	}

	data := map[string][]byte{
		workload.LoginsKey:           logins,
		workload.SlotKey:             []byte(creds.slot),
		workload.PostgresUsernameKey: []byte(login),
		workload.PostgresPasswordKey: []byte(creds.postgresPassword),
		workload.RedisUsernameKey:    []byte(p.tenant.RedisUser()),
		workload.RedisPasswordKey:    []byte(creds.redisPassword),
	}

	secrets := p.stores.secrets
	direct := databaseURL(p.class.Spec.Postgres, login, creds.postgresPassword, len(secrets.postgres.authority) > 0)
	data[workload.DatabaseURLKey] = []byte(direct.String())
	if p.class.Spec.Postgres.PoolerHost != "" {
		data[workload.DatabaseURLKey] = []byte(pooledURL(p.class.Spec.Postgres, direct).String())
		data[workload.DatabaseDirectURLKey] = []byte(direct.String())
	}

	for key, content := range map[string][]byte{
		workload.PostgresCAKey: secrets.postgres.authority, workload.RedisCAKey: secrets.redis.authority,
		workload.SentinelUsernameKey: []byte(secrets.gameSentinels.Username), workload.SentinelPasswordKey: []byte(secrets.gameSentinels.Password),
	} {
		if len(content) > 0 {
			data[key] = content
		}
	}
	if own := secrets.postgres.games; own != nil {
		data[workload.PostgresCertKey], data[workload.PostgresKeyKey] = own.certificate, own.key
	}
	if own := secrets.redis.games; own != nil {
		data[workload.RedisCertKey], data[workload.RedisKeyKey] = own.certificate, own.key
	}

	return data, nil
}

// databaseURL is the login as libpq and pgx read it. Without an authority of its
// own the server trusts those of its system.
func databaseURL(spec v1alpha1.PostgresSpec, user, password string, ownAuthority bool) *url.URL {
	query := url.Values{"sslmode": {string(spec.SSLMode)}}
	if ownAuthority && (spec.SSLMode == v1alpha1.SSLModeVerifyFull || spec.SSLMode == v1alpha1.SSLModeVerifyCA) {
		query.Set("sslrootcert", workload.PostgresCAPath)
	}
	if spec.ClientCertificateSecretRef != nil {
		query.Set("sslcert", workload.PostgresCertPath)
		query.Set("sslkey", workload.PostgresKeyPath)
	}
	return &url.URL{Scheme: "postgres", User: url.UserPassword(user, password), RawQuery: query.Encode(),
		Host: net.JoinHostPort(spec.Host, strconv.Itoa(int(spec.Port))), Path: "/" + spec.Database}
}

// pooledURL is the same login through the class's pooler. It carries no startup
// parameters, which PgBouncer refuses: search_path and timeouts are set on the
// login role. A pooler in transaction mode gives each transaction another session
// of PostgreSQL, so statements must not be prepared under a name in one of them:
// pgx is told to remember their descriptions instead. PgBouncer 1.21 and later
// can follow prepared statements, if max_prepared_statements is set; this needs
// neither, for one more planning of each statement.
func pooledURL(spec v1alpha1.PostgresSpec, direct *url.URL) *url.URL {
	pooled := *direct
	query := direct.Query()
	query.Set("default_query_exec_mode", "cache_describe")
	pooled.RawQuery = query.Encode()
	pooled.Host = net.JoinHostPort(spec.PoolerHost, strconv.Itoa(int(spec.PoolerPortOrDefault())))
	return &pooled
}

// ensureSigningKeys makes the keys that sign the game's tokens, and adds one whenever
// credentials have been issued since the newest was made. Lost keys end the game's
// sessions, nothing else: players log in again.
func (r *LeaderboardReconciler) ensureSigningKeys(ctx context.Context, p *pass) error {
	existing, err := r.getSecret(ctx, p.lb, workload.SigningKeysName(p.lb))
	if err != nil {
		return secretFailure(err)
	}

	var file []byte
	if existing != nil {
		file = existing.Data[workload.SigningKeysKey]
	}

	set, err := keyset.Parse(file)
	if err == nil {
		set, err = r.rotateKeys(p, set)
		if err != nil {
			return secretFailure(err)
		}
	} else {
		if set, err = keyset.New(time.Now()); err != nil {
			return secretFailure(err)
		}
		if p.lb.Status.Endpoint != "" {
			r.Recorder.Eventf(p.lb, nil, corev1.EventTypeWarning, "SigningKeysReplaced", "Provision",
				"The Secret %s was missing or damaged: tokens issued so far are no longer valid", workload.SigningKeysName(p.lb))
		}
	}

	if file, err = set.Marshal(); err != nil {
		return secretFailure(err)
	}
	if err := r.applier.applySecret(ctx, p.lb.UID, workload.SigningKeysSecret(p.lb, p.class, file), existing); err != nil {
		return secretFailure(err)
	}

	return nil
}

// getSecret reads a Secret past the cache; nil: there is none.
func (r *LeaderboardReconciler) getSecret(ctx context.Context, lb *v1alpha1.Leaderboard, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: lb.Namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return secret, err
}

func secretFailure(err error) error {
	return applyFailure(err, "", "A Secret of the workload could not be read or written")
}
