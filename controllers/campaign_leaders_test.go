package controllers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/leaderboard-dev/leaderboard-operator/test/effects"
)

// leaderVoyages is how many voyages with two operators there are; whole: with make campaign.
const leaderVoyages, wholeLeaderVoyages = 1, 60

// lateCache reads as from a cache whose watch events come late, or not at all until
// something else happens to the object: each object is renewed by some of the reads only.
type lateCache struct {
	mutex  sync.Mutex
	random *rand.Rand
	seen   map[string]seenObject
}

type seenObject struct {
	object client.Object
	err    error
}

// lateness is the share of reads that answer what was there before.
const lateness = 0.4

func (l *lateCache) client(live client.WithWatch) client.WithWatch {
	return interceptor.NewClient(live, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			l.mutex.Lock()
			defer l.mutex.Unlock()

			name := fmt.Sprintf("%T %s", object, key)
			if has, known := l.seen[name]; known && l.random.Float64() < lateness {
				if has.err == nil {
					reflect.ValueOf(object).Elem().Set(reflect.ValueOf(has.object.DeepCopyObject()).Elem())
				}
				return has.err
			}

			err := c.Get(ctx, key, object, options...)
			if err == nil || apierrors.IsNotFound(err) {
				l.seen[name] = seenObject{object: object.DeepCopyObject().(client.Object), err: err}
			}
			return err
		},
	})
}

// rival is an operator with a late cache, of which another one may have taken the lead.
func (v *voyage) rival(leader *atomic.Pointer[LeaderboardReconciler], random *rand.Rand) *LeaderboardReconciler {
	var r *LeaderboardReconciler
	operator := testOperator(v.controllerName)
	operator.Leads = func(context.Context) error {
		if leader.Load() != r {
			return errors.New("another leads")
		}
		return nil
	}

	live := v.client()
	late := &lateCache{random: random, seen: map[string]seenObject{}}
	r = reconcilerOf(v.T, operator, late.client(live), live)
	return r
}

// sailWithTwo goes through all stages with two operators that both work on the game,
// whatever the lease says, and an answer that is lost. The lead changes in each stage.
func (v *voyage) sailWithTwo(random *rand.Rand) {
	var leader atomic.Pointer[LeaderboardReconciler]
	both := []*LeaderboardReconciler{v.rival(&leader, random), v.rival(&leader, random)}
	leader.Store(both[0])

	for _, stage := range stages() {
		stage.change(v)
		v.faults.Arm(len(v.faults.Names())+1+random.IntN(8), effects.Lost)
		request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v.lb)}
		changeAt := random.IntN(6)
		for i := range 12 {
			if i == changeAt {
				leader.Store(both[random.IntN(2)])
			}
			v.r = both[random.IntN(2)]
			v.renewPace()
			_, _ = v.r.Reconcile(v.Context(), request) // the next pass goes on
			playOnce(v.Context(), v, v.lb.Namespace)
		}

		// From here on one is left, and hears of everything in the end.
		v.faults.Arm(0, "")
		v.r = leader.Load()
		v.drive(stage)
		v.settle()
		v.arrive(stage)
	}
}

// settle looks at everything until nothing is written any more.
func (v *voyage) settle() {
	v.Helper()
	if v.lb.UID == "" {
		return
	}
	require.Eventually(v, func() bool {
		before := len(v.faults.Names())
		for range 4 { // some of which see a late cache
			v.forget()
			_, err := v.r.Reconcile(v.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v.lb)})
			if err != nil {
				return false
			}
		}
		return len(v.faults.Names()) == before
	}, patience, poll)
	require.True(v, v.look())
}

// Two operators that both believe to lead, with caches that are late, come to the same
// end as one.
func TestCampaignOfTwo(t *testing.T) {
	t.Parallel()
	reference := newVoyage(t)
	reference.sail()

	voyages := leaderVoyages
	if campaignWhole {
		voyages = wholeLeaderVoyages
	}
	first := rand.Uint64()
	t.Run("voyages", func(t *testing.T) {
		for i := range voyages {
			seed := first + uint64(i)
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				v := newVoyage(t)
				v.sailWithTwo(rand.New(rand.NewPCG(seed, 1)))
				v.requireLike(reference)
			})
		}
	})
	t.Logf("%d voyages with two operators", voyages)
}
