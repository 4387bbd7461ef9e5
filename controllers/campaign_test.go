package controllers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/test/effects"
)

// campaignWhole says whether a fault happens at every effect (make campaign) or at some.
var campaignWhole = os.Getenv("CAMPAIGN") == "whole"

// campaignPoints is at how many points a fault happens otherwise.
const campaignPoints = 4

// voyage is one life of a game, from its creation to its deletion, with a fault at one of
// the operator's effects at the most.
type voyage struct {
	*testing.T
	faults         *effects.Sequence
	proxies        []*effects.Proxy
	class          *v1alpha1.LeaderboardClass
	controllerName string
	lb             *v1alpha1.Leaderboard
	name           tenant.Tenant
	r              *LeaderboardReconciler
	// worlds are what the stores and the cluster hold after each stage.
	worlds [][]string
}

// stage is a part of a voyage: somebody changes something, and it comes true.
type stage struct {
	name   string
	change func(*voyage)
	done   func(*voyage) bool
}

func stages() []stage {
	ready := func(v *voyage) bool {
		return v.lb.Status.ObservedGeneration == v.lb.Generation && conditionText(v.lb.Status.Conditions, v1alpha1.ConditionReady) == "True Ready"
	}
	gone := func(v *voyage) bool { return v.lb.UID == "" }
	var image, ledger string

	return []stage{
		{"create", func(v *voyage) { v.create() }, ready},
		{"scale", func(v *voyage) {
			replicas := int32(3)
			patch(v, v.lb, func() { v.lb.Spec.Replicas = &replicas })
		}, ready},
		{"rotate", func(v *voyage) {
			patch(v, v.lb, func() { metav1.SetMetaDataAnnotation(&v.lb.ObjectMeta, v1alpha1.RotateAnnotation, "once") })
		}, func(v *voyage) bool { return ready(v) && v.rotated() }},
		{"change the class", func(v *voyage) {
			patch(v, v.class, func() { v.class.Spec.Limits.PostgresConnections = 60 })
		}, func(v *voyage) bool { return ready(v) && v.connections() == 60 }},
		{"upgrade", func(v *voyage) {
			image = "leaderboard-server:" + unique("v")
			patch(v, v.class, func() { v.class.Spec.Image = image })
		}, func(v *voyage) bool {
			deployment := deploymentOf(v, v.lb)
			return ready(v) && deployment.Spec.Template.Spec.Containers[0].Image == image && deployment.Status.ObservedGeneration == deployment.Generation
		}},
		{"suspend", func(v *voyage) { patch(v, v.lb, func() { v.lb.Spec.Suspend = true }) }, func(v *voyage) bool {
			return v.lb.Status.ObservedGeneration == v.lb.Generation && conditionText(v.lb.Status.Conditions, v1alpha1.ConditionReady) == "True Suspended"
		}},
		{"resume", func(v *voyage) { patch(v, v.lb, func() { v.lb.Spec.Suspend = false }) }, ready},
		{"delete and retain", func(v *voyage) {
			ledger = v.ledger()
			require.NoError(v, cluster.Delete(v.Context(), v.lb))
		}, gone},
		{"make again", func(v *voyage) { v.create() }, func(v *voyage) bool { return ready(v) && v.ledger() == ledger }},
		{"delete", func(v *voyage) {
			patch(v, v.lb, func() { v.lb.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete })
			require.NoError(v, cluster.Delete(v.Context(), v.lb))
		}, gone},
	}
}

// newVoyage prepares a class of its own, whose stores are reached through proxies.
func newVoyage(t *testing.T) *voyage {
	v := &voyage{T: t, faults: &effects.Sequence{}, controllerName: unique("campaign") + "/operator"}
	v.class, v.proxies = newProxiedClass(t, v.controllerName, v.faults)
	accept(t, v.class)
	v.lb = newLeaderboard(namespace(t), v.class)
	v.name = tenant.For("test", v.lb.Namespace, v.lb.Name)
	v.start()
	return v
}

// newProxiedClass makes a class whose PostgreSQL and Redis are reached through proxies, in
// this order.
func newProxiedClass(t *testing.T, controllerName string, sequence *effects.Sequence) (class *v1alpha1.LeaderboardClass, proxies []*effects.Proxy) {
	t.Helper()
	for _, store := range []struct {
		kind    effects.Store
		address string
	}{{effects.Postgres, postgres.Address()}, {effects.Redis, redis.Address()}} {
		proxy, err := effects.StartProxy(context.Background(), sequence, store.kind, store.address)
		require.NoError(t, err)
		t.Cleanup(proxy.Close)
		proxies = append(proxies, proxy)
	}

	class = newClass(t, controllerName, postgres, redis, func(class *v1alpha1.LeaderboardClass) {
		class.Spec.Postgres.Port, class.Spec.Redis.Endpoints = proxies[0].Port(), []string{proxies[1].Address()}
	})
	return class, proxies
}

// start begins a process of the operator.
func (v *voyage) start() { v.r = newReconciler(v.T, v.controllerName, v.client()) }

func (v *voyage) create() {
	v.lb = newLeaderboard(v.lb.Namespace, v.class)
	create(v, v.lb)
}

// client writes through the sequence of effects.
func (v *voyage) client() client.WithWatch { return through(v.faults) }

// through is a client whose writes are effects of a sequence.
func through(faults *effects.Sequence) client.WithWatch {
	do := func(verb string, object any, do func() error) error {
		return faults.Do(fmt.Sprintf("Kubernetes: %s %s", verb, strings.TrimPrefix(fmt.Sprintf("%T", object), "*")+kindOf(object)), do)
	}
	return interceptor.NewClient(cluster, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if faults.Ended() {
				return effects.ErrEnded
			}
			return c.Get(ctx, key, object, options...)
		},
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			return do("apply", object, func() error { return c.Apply(ctx, object, options...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			return do("patch", object, func() error { return c.Patch(ctx, object, patch, options...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			return do("delete", object, func() error { return c.Delete(ctx, object, options...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, name string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			return do("patch "+name+" of", object, func() error { return c.SubResource(name).Patch(ctx, object, patch, options...) })
		},
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			return errors.New("the operator creates nothing: it applies")
		},
		Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error {
			return errors.New("the operator updates nothing: it patches")
		},
	})
}

// kindOf is the kind of an object that is applied.
func kindOf(object any) string {
	if applied, ok := object.(interface{ GetKind() string }); ok {
		return " " + applied.GetKind()
	}
	return ""
}

// sail goes through all stages. What the stores hold after each is kept.
func (v *voyage) sail() {
	for _, stage := range stages() {
		stage.change(v)
		v.drive(stage)
		v.arrive(stage)
	}
}

// arrive checks the end of a stage and keeps what the stores hold.
func (v *voyage) arrive(stage stage) {
	v.Helper()
	v.check(stage)
	v.worlds = append(v.worlds, v.world())
}

// requireLike compares what the stores held after each stage.
func (v *voyage) requireLike(reference *voyage) {
	v.Helper()
	for i, stage := range stages() {
		require.Equal(v, reference.worlds[i], v.worlds[i], "after: %s", stage.name)
	}
}

// drive reconciles, and begins another process when one has been ended, until the stage
// is done.
func (v *voyage) drive(stage stage) {
	v.Helper()
	request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v.lb)}
	deadline := time.Now().Add(patience)
	for {
		v.renewPace()
		_, err := v.r.Reconcile(v.Context(), request)
		if v.faults.Ended() {
			for _, proxy := range v.proxies {
				proxy.Cut()
			}
			v.faults.Restart()
			v.start()
			continue
		}

		playOnce(v.Context(), v, v.lb.Namespace)
		if v.look() && stage.done(v) {
			return
		}
		if time.Now().After(deadline) {
			v.Fatalf("%s: it does not come true: %v\n%s", stage.name, err, describe(v.lb))
		}
		if err != nil {
			pause(v)
		}
	}
}

// look reads the Leaderboard; one that is gone has no UID.
func (v *voyage) look() bool {
	err := cluster.Get(v.Context(), client.ObjectKeyFromObject(v.lb), v.lb)
	if client.IgnoreNotFound(err) != nil {
		return false
	}
	if err != nil {
		collectGarbage(v, v.lb)
		v.lb.UID = ""
	}
	return true
}

// renewPace keeps the pace of passes from being what the test waits for.
func (v *voyage) renewPace() {
	pace, err := newPace()
	require.NoError(v, err)
	v.r.pace = pace
}

// check looks at what must hold after each stage: what is served works, and another look
// at everything writes nothing.
func (v *voyage) check(stage stage) {
	v.Helper()
	if v.lb.UID == "" {
		require.False(v, hasUser(v.T, redis, v.name), "%s: the Redis user is left", stage.name)
		return
	}

	isWhole(v.T, v.class, v.lb)
	secret := credentialsOf(v, v.lb)
	require.True(v, redisAccepts(v.T, string(secret.Data[workload.RedisUsernameKey]), string(secret.Data[workload.RedisPasswordKey])))
	before := len(v.faults.Names())
	for range 2 {
		v.forget()
		_, err := v.r.Reconcile(v.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v.lb)})
		require.NoError(v, err)
	}
	require.Empty(v, v.faults.Names()[before:], "%s: needless writes", stage.name)
}

// forget has the next pass look at everything.
func (v *voyage) forget() {
	v.r.forgetStores()
	v.renewPace()
}

// rotated says whether the credentials answer to the request, and the old login is gone.
func (v *voyage) rotated() bool {
	request := query[string](v, postgres, v.class, "SELECT coalesce((SELECT issued_request FROM leaderboard_operator.tenants WHERE id = $1), '')", v.name.ID)
	logins := query[int](v, postgres, v.class, "SELECT count(*) FROM pg_roles WHERE rolname = ANY ($1) AND rolcanlogin",
		[]string{v.name.LoginRole(tenant.SlotA), v.name.LoginRole(tenant.SlotB)})
	return request == rotationRequest(v.lb) && logins == 1
}

func (v *voyage) connections() int {
	return query[int](v, postgres, v.class, "SELECT max(rolconnlimit) FROM pg_roles WHERE rolname = ANY ($1)", v.name.Roles())
}

// ledger is which ledger the schema holds.
func (v *voyage) ledger() string {
	return query[string](v, postgres, v.class, "SELECT to_regclass($1)::oid::text || coalesce((SELECT string_agg(name, ' ') FROM "+v.name.Schema()+".schema_migrations), '')",
		v.name.Schema()+".score_events")
}

// worldSQL lists what the catalogue says of a tenant, besides passwords.
const worldSQL = `
SELECT coalesce(array_agg(line ORDER BY line), '{}') FROM (
	SELECT format('role %s login=%s super=%s createdb=%s createrole=%s replication=%s bypassrls=%s limit=%s until=%s config=%s comment=%s', rolname, rolcanlogin, rolsuper,
		rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil, rolconfig, shobj_description(oid, 'pg_authid') IS NOT NULL) AS line
		FROM pg_roles WHERE starts_with(rolname, $1)
	UNION ALL SELECT format('member %s of %s', pg_get_userbyid(member), pg_get_userbyid(roleid)) FROM pg_auth_members
		WHERE starts_with(pg_get_userbyid(roleid), $1) OR starts_with(pg_get_userbyid(member), $1)
	UNION ALL SELECT format('schema %s of %s comment=%s', nspname, pg_get_userbyid(nspowner), obj_description(oid, 'pg_namespace') IS NOT NULL) FROM pg_namespace WHERE nspname = $1
	UNION ALL SELECT format('right %s on the schema for %s', privilege_type, pg_get_userbyid(grantee)) FROM pg_namespace, aclexplode(nspacl) WHERE nspname = $1
	UNION ALL SELECT format('default right %s on %s for %s', privilege_type, defaclobjtype, pg_get_userbyid(grantee)) FROM pg_default_acl d
		JOIN pg_namespace n ON n.oid = defaclnamespace, aclexplode(defaclacl) WHERE nspname = $1
	UNION ALL SELECT format('relation %s %s of %s', relkind, relname, pg_get_userbyid(relowner)) FROM pg_class WHERE relnamespace = to_regnamespace($1)
	UNION ALL SELECT format('right %s on %s for %s', privilege_type, relname, pg_get_userbyid(grantee)) FROM pg_class, aclexplode(relacl) WHERE relnamespace = to_regnamespace($1)
	UNION ALL SELECT format('right %s on the database for %s', privilege_type, pg_get_userbyid(grantee)) FROM pg_database, aclexplode(datacl)
		WHERE datname = current_database() AND starts_with(pg_get_userbyid(grantee), $1)
	UNION ALL SELECT format('issued %s to %s', issued_digest IS NOT NULL, id) FROM leaderboard_operator.tenants WHERE id = $2
) lines`

// world is what the stores and the cluster hold of the game. Which of its logins is served
// may differ.
func (v *voyage) world() []string {
	lines := query[[]string](v, postgres, v.class, worldSQL, v.name.Schema(), v.name.ID)
	admin := redis.Client()
	defer admin.Close()

	user, err := admin.Do(v.Context(), "ACL", "GETUSER", v.name.RedisUser()).Result()
	if err == nil && user != nil {
		fields, _ := user.(map[any]any)
		passwords, _ := fields["passwords"].([]any)
		lines = append(lines, fmt.Sprint("user ", fields["flags"], fields["commands"], fields["keys"], fields["channels"], " with ", len(passwords), " passwords"))
	}
	if owner := admin.HGet(v.Context(), "leaderboard-operator:owners", v.name.RedisUser()).Val(); owner != "" {
		lines = append(lines, "owned in Redis")
	}
	if v.lb.UID != "" {
		for _, object := range ownedBy(v, v.lb) {
			lines = append(lines, fmt.Sprintf("object %T", object))
		}
	}

	served := tenant.SlotA
	if slices.ContainsFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "role "+v.name.LoginRole(tenant.SlotB)+" login=t")
	}) {
		served = tenant.SlotB
	}
	replace := strings.NewReplacer(v.name.LoginRole(served), "served", v.name.LoginRole(served.Other()), "other", v.name.ID, "tenant", v.class.Name, "class",
		strings.ReplaceAll(v.class.Name, "-", "_"), "admin")
	for i := range lines {
		lines[i] = replace.Replace(lines[i])
	}
	slices.Sort(lines)
	return lines
}

// Whatever the operator is doing when it is ended, or loses an answer: the next process,
// or the next pass, comes to the same end. CAMPAIGN=whole has a fault at every effect.
func TestCampaign(t *testing.T) {
	t.Parallel()
	reference := newVoyage(t)
	reference.sail()
	names := reference.faults.Names()
	require.Greater(t, len(names), 50)

	step := 1
	if all := len(names) * len(effects.Modes); !campaignWhole {
		step = max(all/campaignPoints, 1)
	}

	var visited atomic.Int64
	t.Run("faults", func(t *testing.T) {
		for point := 0; point < len(names)*len(effects.Modes); point += step {
			at, mode := point/len(effects.Modes)+1, effects.Modes[point%len(effects.Modes)]
			t.Run(fmt.Sprintf("%d %s %s", at, mode, names[at-1]), func(t *testing.T) {
				t.Parallel()
				v := newVoyage(t)
				v.faults.Arm(at, mode)
				v.sail()
				v.requireLike(reference)
				visited.Add(1)
			})
		}
	})
	t.Logf("%d effects, a fault at %d points (%s)", len(names), visited.Load(), "before, after, answer lost")
}
