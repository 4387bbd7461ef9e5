package v1alpha1_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What a class and a game say in the same words is refused in the same words.
var podsRefusals = []refusal{
	{"a label of the operator", `{pods: {labels: {app.kubernetes.io/name: other}}}`, "spec.pods.labels", "are the operator's"},
	{"a label that decides what runs", `{pods: {labels: {pod-template-hash: abc}}}`, "spec.pods.labels", "use another name"},
	{"a label that is none", `{pods: {labels: {"a b": c}}}`, "spec.pods.labels", "for example team"},
	{"a value that is none", `{pods: {labels: {team: "a b"}}}`, "spec.pods.labels", "letters, digits, -, _ and ."},
	{"a long value", `{pods: {labels: {team: ` + strings.Repeat("a", 64) + `}}}`, "spec.pods.labels.team", "may not be more than 63"},
	{"an annotation of the operator", `{pods: {annotations: {games.leaderboard.dev/boards-checksum: "0"}}}`, "spec.pods.annotations", "is the operator's"},
	{"an annotation that is none", `{pods: {annotations: {"/x": "0"}}}`, "spec.pods.annotations", "must be the name of an annotation"},
	{"a node's label that is none", `{pods: {nodeSelector: {"a=b": c}}}`, "spec.pods.nodeSelector", "for example kubernetes.io/arch"},
	{"a toleration of nothing", `{pods: {tolerations: [{effect: NoSchedule}]}}`, "spec.pods.tolerations[0].key", "set operator to Exists"},
	{"a toleration of a value that does not matter", `{pods: {tolerations: [{key: a, operator: Exists, value: b}]}}`, "spec.pods.tolerations[0].value", "remove value"},
	{"a toleration for a time without an end", `{pods: {tolerations: [{key: a, effect: NoSchedule, tolerationSeconds: 5}]}}`, "spec.pods.tolerations[0].tolerationSeconds", "takes effect NoExecute"},
	{"an unknown effect", `{pods: {tolerations: [{key: a, effect: Never}]}}`, "spec.pods.tolerations[0].effect", `supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`},
	{"a taint that is none", `{pods: {tolerations: [{key: "a b"}]}}`, "spec.pods.tolerations[0].key", "must be the key of a taint"},
	{"a spread without a domain", `{pods: {topologySpreadConstraints: [{maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]}}`, "spec.pods.topologySpreadConstraints[0].topologyKey", "Required value"},
	{"a spread with a skew of 0", `{pods: {topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]}}`, "spec.pods.topologySpreadConstraints[0].maxSkew", "greater than or equal to 1"},
	{"a spread over domains that need not be", `{pods: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: ScheduleAnyway, minDomains: 2}]}}`, "spec.pods.topologySpreadConstraints[0].minDomains", "takes whenUnsatisfiable DoNotSchedule"},
	{"a spread twice", `{pods: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule}, {maxSkew: 2, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]}}`, "spec.pods.topologySpreadConstraints[1]", "Duplicate value"},
	{"a priority of the system", `{pods: {priorityClassName: system-node-critical}}`, "spec.pods.priorityClassName", "make a PriorityClass for games"},
	{"a priority that is none", `{pods: {priorityClassName: "High Score"}}`, "spec.pods.priorityClassName", "must be the name of a PriorityClass"},
	{"an affinity without nodes", `{pods: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}}}}`, "spec.pods.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms", "Required value"},
}

var classPodsRefusals = []refusal{
	{"what no game could say", `{pods: {allow: [runtimeClassName]}}`, "spec.pods.allow[0]", `supported values: "labels"`},
	{"a pull secret elsewhere", `{pods: {imagePullSecrets: [{name: kube-system/registry}]}}`, "spec.pods.imagePullSecrets[0].name", "without a namespace"},
	{"a runtime that is none", `{pods: {runtimeClassName: g/visor}}`, "spec.pods.runtimeClassName", "must be the name of a RuntimeClass"},
	{"root", `{pods: {runAsUser: Root}}`, "spec.pods.runAsUser", `supported values: "Nonroot", "FromPlatform"`},
	{"a setting of the server", `{pods: {env: [{name: LEADERBOARD_TENANT, value: other}]}}`, "spec.pods.env[0].name", "are set by the operator"},
	{"the server's memory", `{pods: {env: [{name: GOMEMLIMIT, value: 1GiB}]}}`, "spec.pods.env[0].name", "are set by the operator"},
	{"a variable that is none", `{pods: {env: [{name: A-B, value: c}]}}`, "spec.pods.env[0].name", "must be the name of a variable"},
	{"a variable without a value", `{pods: {env: [{name: A}]}}`, "spec.pods.env[0]", "set exactly one of"},
	{"a variable with two values", `{pods: {env: [{name: A, value: b, secretKeyRef: {name: c, key: d}}]}}`, "spec.pods.env[0]", "set exactly one of"},
	{"a variable twice", `{pods: {env: [{name: A, value: b}, {name: A, value: c}]}}`, "spec.pods.env[1]", "Duplicate value"},
	{"a Secret elsewhere", `{pods: {env: [{name: A, secretKeyRef: {name: b/c, key: d}}]}}`, "spec.pods.env[0].secretKeyRef.name", "without a namespace"},
	{"a rollout that cannot begin", `{pods: {rollout: {maxSurge: 0}}}`, "spec.pods.rollout.maxUnavailable", "set maxUnavailable to 1 or more"},
	{"a rollout of nothing", `{pods: {rollout: {maxSurge: "0%", maxUnavailable: 0}}}`, "spec.pods.rollout.maxUnavailable", "set maxUnavailable to 1 or more"},
	{"a rollout of less than nothing", `{pods: {rollout: {maxSurge: -1}}}`, "spec.pods.rollout.maxSurge", "from 0 to 100"},
	{"a rollout of more than all", `{pods: {rollout: {maxUnavailable: 101%}}}`, "spec.pods.rollout.maxUnavailable", "from 0% to 100%"},
	{"no time to drain", `{pods: {drainSeconds: 0}}`, "spec.pods.drainSeconds", "greater than or equal to 1"},
	{"an hour to drain", `{pods: {drainSeconds: 3600}}`, "spec.pods.drainSeconds", "less than or equal to 600"},
	{"a label of all objects that is the operator's", `{objects: {labels: {app.kubernetes.io/instance: other}}}`, "spec.objects.labels", "are the operator's"},
	{"an annotation of all objects that is the operator's", `{objects: {annotations: {games.leaderboard.dev/x: ""}}}`, "spec.objects.annotations", "is the operator's"},
}

func TestPodsRefused(t *testing.T) {
	for _, test := range podsRefusals {
		t.Run(test.name, func(t *testing.T) {
			err := cluster.Create(timeout(t), parse(t, "Leaderboard", "game", test.spec))
			requireRefused(t, err, test.field, test.message)
			err = cluster.Create(timeout(t), parse(t, "LeaderboardClass", "class", classSpec(t, test.spec)))
			requireRefused(t, err, test.field, test.message)
		})
	}

	for _, test := range classPodsRefusals {
		t.Run(test.name, func(t *testing.T) {
			err := cluster.Create(timeout(t), parse(t, "LeaderboardClass", "class", classSpec(t, test.spec)))
			requireRefused(t, err, test.field, test.message)
		})
	}
}

const somePods = `
labels: {team: arcade, example.com/cost-center: "42", empty: ""}
annotations: {sidecar.istio.io/inject: "true", note: "any text: ü"}
nodeSelector: {kubernetes.io/arch: arm64}
tolerations: [{operator: Exists}, {key: example.com/games, value: "true", effect: NoSchedule}, {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [games]}]}]}}}
topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, minDomains: 2, nodeTaintsPolicy: Honor}
  - {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}
priorityClassName: games
`

// Nothing is added to what was written, so that what is compared with it, as GitOps does, is
// the same.
func TestPodsAccepted(t *testing.T) {
	game := parse(t, "Leaderboard", "pods", "pods:"+strings.ReplaceAll(somePods, "\n", "\n  "))
	written := game.DeepCopy()
	create(t, game)
	requireAsWritten(t, written, game, "pods")

	class := parse(t, "LeaderboardClass", "pods", classSpec(t, "pods:"+strings.ReplaceAll(somePods+`
allow: [labels, annotations, nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName]
imagePullSecrets: [{name: registry}]
runtimeClassName: gvisor
runAsUser: FromPlatform
env: [{name: A, value: ""}, {name: B, secretKeyRef: {name: b, key: c, optional: true}}, {name: C, configMapKeyRef: {name: b, key: c.d}}]
rollout: {maxSurge: 0, maxUnavailable: 50%}
drainSeconds: 60
`, "\n", "\n  ")+"\nobjects: {labels: {team: platform}, annotations: {a: b}}"))
	written = class.DeepCopy()
	create(t, class)
	requireAsWritten(t, written, class, "pods")
	requireAsWritten(t, written, class, "objects")
}

// requireAsWritten asserts that the API server has added nothing to a field of the spec.
func requireAsWritten(t *testing.T, written, stored *unstructured.Unstructured, field string) {
	t.Helper()
	var texts []string
	for _, object := range []*unstructured.Unstructured{written, stored} {
		value, found, err := unstructured.NestedFieldNoCopy(object.Object, "spec", field)
		require.NoError(t, err)
		require.True(t, found)
		text, err := json.Marshal(value)
		require.NoError(t, err)
		texts = append(texts, string(text))
	}
	require.JSONEq(t, texts[0], texts[1])
}
