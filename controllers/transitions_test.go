package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// transitionSample is how many transitions of each kind are made; with make campaign, all.
const transitionSample = 4

// fieldSchema is what a CRD says of a value, as far as transitions are made from it.
type fieldSchema struct {
	Type       string                  `json:"type"`
	Properties map[string]*fieldSchema `json:"properties"`
	Items      *fieldSchema            `json:"items"`
	Additional *fieldSchema            `json:"additionalProperties"`
	Enum       []string                `json:"enum"`
	Minimum    *int64                  `json:"minimum"`
	Maximum    *int64                  `json:"maximum"`
	MaxLength  *int                    `json:"maxLength"`
}

// specSchema reads the schema of a kind's spec.
func specSchema(t *testing.T, plural string) *fieldSchema {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("..", "config", "crd", "bases", v1alpha1.GroupVersion.Group+"_"+plural+".yaml"))
	require.NoError(t, err)
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema *fieldSchema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	require.NoError(t, yaml.Unmarshal(file, &crd))
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
}

// transition sets one field of a spec to a value; nil unsets it.
type transition struct {
	path  []string
	value any
}

func (tr transition) String() string {
	value, _ := json.Marshal(tr.value)
	text := string(value)
	return fmt.Sprintf("%s=%s", strings.Join(tr.path, "."), text[:min(len(text), 30)])
}

// patch is the merge patch of the transition.
func (tr transition) patch(t *testing.T) client.Patch {
	t.Helper()
	value := tr.value
	for _, name := range slices.Backward(tr.path) {
		value = map[string]any{name: value}
	}
	body, err := json.Marshal(map[string]any{"spec": value})
	require.NoError(t, err)
	return client.RawPatch(types.MergePatchType, body)
}

// transitions are the changes of a field and of those in it: unset, of a wrong type, the
// bounds and beyond them, each value of an enumeration and another one, empty and too long.
func (s *fieldSchema) transitions(path []string) []transition {
	all := []transition{{path, nil}, {path, []any{[]any{}}}}
	add := func(values ...any) {
		for _, value := range values {
			all = append(all, transition{path, value})
		}
	}

	switch {
	case s.Type == "object" && s.Properties != nil:
		add(map[string]any{})
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			all = append(all, s.Properties[name].transitions(append(slices.Clone(path), name))...)
		}
	case s.Type == "object":
		add(map[string]any{"a": "b"})
	case s.Type == "array":
		add([]any{})
	case s.Type == "boolean":
		add(true, false)
	case s.Type == "integer":
		for _, bound := range []*int64{s.Minimum, s.Maximum} {
			if bound != nil {
				add(*bound-1, *bound, *bound+1)
			}
		}
	case len(s.Enum) > 0:
		for _, value := range s.Enum {
			add(value)
		}
		add("Bogus")
	case s.Type == "string":
		add("", "x", "10s", "24h")
		if s.MaxLength != nil {
			add(strings.Repeat("x", *s.MaxLength+1))
		}
	}
	return all
}

// withoutIndexes is a client past any cache, so without the cache's indexes: it lists all.
func withoutIndexes() client.Client {
	return interceptor.NewClient(cluster, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			return c.List(ctx, list)
		},
	})
}

// settler is a game and its class, both looked after by one operator.
type settler struct {
	*voyage
	classes *LeaderboardClassReconciler
}

func newSettler(t *testing.T) *settler {
	v := newVoyage(t)
	v.lb.Spec.Autoscaling = &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 3, TargetCPUUtilizationPercentage: 50}
	create(t, v.lb)
	s := &settler{voyage: v, classes: &LeaderboardClassReconciler{Client: withoutIndexes(), Live: cluster, Stores: v.r.Stores, Recorder: events.NewFakeRecorder(maxTestEvents),
		ControllerName: v.controllerName, Namespace: operatorNamespace, Resync: time.Minute}}
	s.settle()
	require.Equal(t, "True Ready", conditionText(s.lb.Status.Conditions, v1alpha1.ConditionReady), describe(s.lb))
	return s
}

// unreachable is for how long nothing changes where a store does not answer: longer than
// one is left alone that did not.
const unreachable = 3 * time.Second

// settle reconciles until nothing changes any more.
func (s *settler) settle() {
	s.Helper()
	quiet, since := 0, time.Now()
	for begun := time.Now(); quiet < 2; {
		require.Less(s, time.Since(begun), patience, "it does not come to rest\n%s", describe(s.lb))
		before, conditions := len(s.faults.Names()), describe(s.lb)
		_, classErr := s.classes.Reconcile(s.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: s.class.Name}})
		s.forget()
		_, err := s.r.Reconcile(s.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(s.lb)})
		playOnce(context.WithoutCancel(s.Context()), s, s.lb.Namespace)
		require.True(s, s.look())

		switch same := before == len(s.faults.Names()) && conditions == describe(s.lb); {
		case same && (err == nil && classErr == nil || time.Since(since) > unreachable):
			quiet++
		case same:
			pause(s)
		default:
			quiet, since = 0, time.Now()
		}
	}
}

// specs are the specs of the objects of the game that Pods come from.
func (s *settler) specs() string {
	deployment := &appsv1.Deployment{}
	require.NoError(s, cluster.Get(s.Context(), client.ObjectKey{Namespace: s.lb.Namespace, Name: deploymentOf(s, s.lb).Name}, deployment))
	text, err := json.Marshal(deployment.Spec)
	require.NoError(s, err)
	return string(text)
}

// make makes one transition and takes it back.
func (s *settler) make(tr transition, of client.Object) {
	s.Helper()
	base := of.DeepCopyObject().(client.Object)
	require.NoError(s, cluster.Get(s.Context(), client.ObjectKeyFromObject(of), base))
	before, specs := s.world(), s.specs()

	changed := base.DeepCopyObject().(client.Object)
	err := cluster.Patch(s.Context(), changed, tr.patch(s.T))
	if err != nil {
		require.True(s, apierrors.IsInvalid(err) || apierrors.IsBadRequest(err), "%s: %v", tr, err)
	}
	s.settle()

	// Whatever it was, what is served works, and a game that is not ready goes on as it was.
	ready := conditionText(s.lb.Status.Conditions, v1alpha1.ConditionReady)
	require.Equal(s, s.lb.Generation, s.lb.Status.ObservedGeneration, "%s\n%s", tr, describe(s.lb))
	require.True(s, logsIn(s, credentialsOf(s, s.lb)), "%s: %s", tr, ready)
	if err != nil || !strings.HasPrefix(ready, "True") && !strings.HasSuffix(ready, v1alpha1.ReasonWorkloadUnavailable) {
		require.Equal(s, specs, s.specs(), "%s: %s", tr, ready)
	}

	// Taken back, everything is as before.
	now := base.DeepCopyObject().(client.Object)
	require.NoError(s, cluster.Get(s.Context(), client.ObjectKeyFromObject(of), now))
	base.SetResourceVersion(now.GetResourceVersion())
	base.SetGeneration(now.GetGeneration())
	require.NoError(s, cluster.Update(s.Context(), base), "%s taken back", tr)
	s.settle()
	require.Equal(s, "True Ready", conditionText(s.lb.Status.Conditions, v1alpha1.ConditionReady), "%s taken back\n%s", tr, describe(s.lb))
	require.Equal(s, before, s.world(), "%s taken back", tr)
	require.Equal(s, specs, s.specs(), "%s taken back", tr)
}

// Each field of both kinds is set to what its schema allows, to its bounds and beyond, and
// unset: it is refused, or takes effect, or what was good before goes on; and taken back,
// it leaves no trace.
func TestTransitions(t *testing.T) {
	t.Parallel()
	for kind, plural := range map[string]string{"Leaderboard": "leaderboards", "LeaderboardClass": "leaderboardclasses"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var all []transition
			spec := specSchema(t, plural)
			for _, name := range slices.Sorted(maps.Keys(spec.Properties)) {
				all = append(all, spec.Properties[name].transitions([]string{name})...)
			}
			require.Greater(t, len(all), 50)

			count := len(all)
			if seed := rand.Uint64(); !campaignWhole {
				t.Logf("seed %d", seed)
				rand.New(rand.NewPCG(seed, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				all = all[:transitionSample]
			}

			s := newSettler(t)
			for _, tr := range all {
				of := client.Object(s.lb)
				if kind == "LeaderboardClass" {
					of = s.class
				}
				start := time.Now()
				s.make(tr, of)
				t.Logf("%s: %s", tr, time.Since(start).Round(10*time.Millisecond))
			}
			t.Logf("%d of %d transitions of %s, each taken back", len(all), count, kind)
		})
	}
}
