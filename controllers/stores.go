package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// redisWatchInterval is how often each class's Redis is asked whether a node
// has been restarted: its users may then be gone, and games stand still.
const redisWatchInterval = 2 * time.Second

// transactionWatchInterval is how often each class's PostgreSQL is asked for the
// transactions of its games.
const transactionWatchInterval = 15 * time.Second

// Stores holds the connections to the stores of the classes, one set for each,
// made again when the class or its admin Secrets change. It is a Runnable of the
// manager, which ends the connections with it.
type Stores struct {
	// metadata reads the metadata of Secrets from the cache.
	metadata client.Reader
	// live reads the Secrets themselves.
	live      client.Reader
	namespace string
	// operator is this process, on whose behalf stores are written.
	operator provision.Operator
	// lost has an event for a class whose Redis may have lost users.
	lost chan event.GenericEvent

	ctx      context.Context // ends the watches
	cancel   context.CancelFunc
	watching sync.WaitGroup

	mu      sync.Mutex
	entries map[string]*storeEntry // by the class's name
}

// storeEntry are the connections of one class as it was at one time.
type storeEntry struct {
	key string
	// identity is the class and as whom its stores are used: what has been found there
	// holds until it changes, whatever password or certificate was used.
	identity  string
	secrets   adminSecrets
	postgres  *provision.Postgres
	redis     *provision.Redis
	unwatch   context.CancelFunc
	uses      int
	discarded bool

	census census

	// What the last look at the rights of PUBLIC found, and when to look again.
	preparing sync.Mutex
	leftOpen  []string
	prepareAt time.Time
	// prepareRedisAt is when to look again who may use Redis.
	prepareRedisAt time.Time
}

// storeHandle is the use of a storeEntry by one pass.
type storeHandle struct {
	*storeEntry
	release func()
}

// NewStores prepares connections to stores whose admin Secrets are in the operator's
// namespace. metadata may be a cache; live is not.
func NewStores(metadata, live client.Reader, operator provision.Operator) *Stores {
	ctx, cancel := context.WithCancel(context.Background())
	return &Stores{metadata: metadata, live: live, namespace: operator.Namespace, operator: operator, lost: make(chan event.GenericEvent),
		ctx: ctx, cancel: cancel, entries: map[string]*storeEntry{}}
}

// Start implements [manager.Runnable]: it ends the connections with ctx.
func (s *Stores) Start(ctx context.Context) error {
	<-ctx.Done()
	s.Close()
	return nil
}

// Close ends the watches and the connections.
func (s *Stores) Close() {
	s.cancel()
	s.watching.Wait()
	s.mu.Lock()
	names := make([]string, 0, len(s.entries))

	for name := range s.entries {
		names = append(names, name)
	}

	s.mu.Unlock()
	for _, name := range names {
		s.Forget(name)
	}
}

// Forget ends the connections of a class once nobody uses them.
func (s *Stores) Forget(className string) {
	s.mu.Lock()
	entry := s.entries[className]
	delete(s.entries, className)
	closable := entry.discard()
	s.mu.Unlock()
	closable.close()
}

// discard marks an entry that is no longer in the map, and returns it if it can
// be closed now. s.mu is held.
func (e *storeEntry) discard() *storeEntry {
	if e == nil {
		return nil
	}

	e.discarded = true
	e.unwatch()
	if e.uses > 0 {
		return nil
	}

	return e
}

func (e *storeEntry) close() {
	if e != nil {
		e.postgres.Close()
		e.redis.Close()
	}
}

// acquire returns the connections of the class as it is now. The caller
// releases them.
func (s *Stores) acquire(ctx context.Context, class *v1alpha1.LeaderboardClass) (*storeHandle, error) {
	key, err := s.key(ctx, class)
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	if entry := s.entries[class.Name]; entry != nil && entry.key == key {
		entry.uses++
		s.mu.Unlock()
		return s.handle(entry), nil
	}

	s.mu.Unlock()
	opened, err := s.open(ctx, class, key)
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	if entry := s.entries[class.Name]; entry != nil && entry.key == key { // somebody else was faster
		entry.uses++
		s.mu.Unlock()
		opened.unwatch()
		opened.close()
		return s.handle(entry), nil
	}

	closable := s.entries[class.Name].discard()
	s.entries[class.Name] = opened
	opened.uses++
	s.watch(class.Name, opened)
	s.mu.Unlock()
	closable.close()

	return s.handle(opened), nil
}

// last returns the connections that the class had when it could last be used; nil:
// there are none. The caller releases them.
func (s *Stores) last(className string) *storeHandle {
	s.mu.Lock()
	defer s.mu.Unlock()

	entry := s.entries[className]
	if entry == nil {
		return nil
	}

	entry.uses++
	return s.handle(entry)
}

func (s *Stores) handle(entry *storeEntry) *storeHandle {
	return &storeHandle{storeEntry: entry, release: sync.OnceFunc(func() {
		s.mu.Lock()
		entry.uses--
		closable := entry.discarded && entry.uses == 0
		s.mu.Unlock()
		if closable {
			entry.close()
		}
	})}
}

// key changes whenever the connections must be made again.
func (s *Stores) key(ctx context.Context, class *v1alpha1.LeaderboardClass) (string, error) {
	key := fmt.Sprintf("%s/%d", class.UID, class.Generation)
	for _, name := range secretNames(class) {
		secret := &metav1.PartialObjectMetadata{}
		secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		if err := s.metadata.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, secret); err != nil {
			return "", s.secretError(err, name)
		}
		key += "/" + string(secret.UID) + "/" + secret.ResourceVersion
	}

	return key, nil
}

func (s *Stores) open(ctx context.Context, class *v1alpha1.LeaderboardClass, key string) (*storeEntry, error) {
	secrets, err := s.adminSecrets(ctx, class)
	if err != nil {
		return nil, err
	}

	redis, err := provision.OpenRedis(redisAdmin(class.Spec.Redis, secrets))
	if err != nil {
		return nil, classFailure(class, err)
	}

	postgres, err := provision.OpenPostgres(ctx, postgresAdmin(class.Spec.Postgres, secrets.postgres), s.operator)
	if err != nil {
		redis.Close()
		return nil, classFailure(class, err)
	}

	identity := fmt.Sprintf("%s/%d/%s/%s", class.UID, class.Generation, secrets.postgres.username, secrets.redis.username)
	return &storeEntry{key: key, identity: identity, secrets: *secrets, postgres: postgres, redis: redis, unwatch: func() {}}, nil
}

func postgresAdmin(spec v1alpha1.PostgresSpec, login adminLogin) provision.PostgresAdmin {
	return provision.PostgresAdmin{Host: spec.Host, Port: int(spec.Port), Database: spec.Database, SSLMode: string(spec.SSLMode),
		Username: login.username, Password: login.password, CA: login.authority,
		Certificate: login.certificate.tls(), GameCertificate: login.games.tls(),
		PoolerHost: spec.PoolerHost, PoolerPort: int(spec.PoolerPortOrDefault())}
}

func redisAdmin(spec v1alpha1.RedisSpec, secrets *adminSecrets) provision.RedisAdmin {
	login := secrets.redis
	return provision.RedisAdmin{Mode: provision.RedisMode(spec.Mode), Endpoints: spec.Endpoints, MasterName: spec.MasterName, TLS: spec.TLS,
		Username: login.username, Password: login.password, CA: login.authority, ServerName: spec.ServerName,
		Certificate: login.certificate.tls(), GameCertificate: login.games.tls(),
		Sentinels: secrets.sentinels, GameSentinels: secrets.gameSentinels}
}

// watch has the Leaderboards of the class looked at when its Redis has been
// restarted, and ends what games' logins leave open in PostgreSQL. s.mu is held.
func (s *Stores) watch(className string, entry *storeEntry) {
	ctx, cancel := context.WithCancel(s.ctx)
	entry.unwatch = cancel
	class := &v1alpha1.LeaderboardClass{ObjectMeta: metav1.ObjectMeta{Name: className}}
	s.watching.Go(func() {
		entry.redis.Watch(ctx, redisWatchInterval, func() {
			select {
			case s.lost <- event.GenericEvent{Object: class}:
			case <-ctx.Done():
			}
		})
	})
	s.watching.Go(func() {
		entry.postgres.WatchTransactions(ctx, transactionWatchInterval, provision.DefaultTransactionBounds, func(role string, after time.Duration) {
			log.FromContext(ctx).Info("Ended a session that kept a transaction open", "class", className, "login", role, "after", after.Round(time.Second).String())
		})
	})
}

// freeSlot is the slot for new credentials: the one that cannot log in, so that Pods
// that work with the other go on working. While both can, Pods are being moved to the
// one that was issued last: it is issued once more, and those that have not been moved
// yet go on.
func (h *storeHandle) freeSlot(ctx context.Context, t tenant.Tenant, issued tenant.Slot) (tenant.Slot, error) {
	logins, err := h.postgres.Logins(ctx, t)
	switch {
	case err != nil:
		return "", err
	case logins[tenant.SlotA] && logins[tenant.SlotB] && issued != "":
		return issued, nil
	case logins[tenant.SlotA] && !logins[tenant.SlotB]:
		return tenant.SlotB, nil
	default:
		return tenant.SlotA, nil
	}
}

// dropFromRedis removes the tenant's user and then its keys: nobody writes keys after they
// have been removed.
func (h *storeHandle) dropFromRedis(ctx context.Context, t tenant.Tenant, claim provision.Claim) error {
	return h.postgres.WhileLeading(ctx, func(ctx context.Context) error {
		if err := h.redis.DropUser(ctx, t, claim); err != nil {
			return err
		}
		return h.redis.DropKeys(ctx, t, claim)
	})
}
