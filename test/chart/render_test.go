package chart

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// render renders the chart with a file of testdata.
func render(t *testing.T, values string, args ...string) objects {
	t.Helper()
	out, err := helm(t, append([]string{"template", release, chartPath, "--namespace", operatorNamespace,
		"--values", filepath.Join("testdata", values+".yaml")}, args...)...)
	require.NoError(t, err)
	return decode(t, []byte(out))
}

func TestRenderedObjects(t *testing.T) {
	always := []string{
		"ClusterRole leaderboard-operator", "ClusterRole leaderboard-operator-editor", "ClusterRole leaderboard-operator-viewer",
		"ClusterRoleBinding leaderboard-operator", "Deployment leaderboard-operator", "Role leaderboard-operator",
		"RoleBinding leaderboard-operator", "Service leaderboard-operator-metrics",
		"ValidatingAdmissionPolicy leaderboard-operator-ingress-hosts", "ValidatingAdmissionPolicyBinding leaderboard-operator-ingress-hosts",
	}

	for values, more := range map[string][]string{
		"minimal": {"ServiceAccount leaderboard-operator"},
		"class":   {"ServiceAccount leaderboard-operator", "LeaderboardClass default"},
	} {
		require.ElementsMatch(t, append(slices.Clone(always), more...), slices.Collect(maps.Keys(render(t, values))), values)
	}

	everything := render(t, "everything", "--set", "fullnameOverride=leaderboard-operator")
	require.ElementsMatch(t, append(slices.Clone(always), "ServiceAccount boards", "LeaderboardClass eu",
		"PodDisruptionBudget leaderboard-operator", "NetworkPolicy leaderboard-operator", "ServiceMonitor leaderboard-operator"),
		slices.Collect(maps.Keys(everything)))

	nothing := render(t, "minimal", "--set", "rbac.create=false,rbac.aggregateToUserRoles=false,serviceAccount.create=false,metrics.enabled=false,ingressHosts.guard=false")
	require.Equal(t, []string{"Deployment leaderboard-operator"}, slices.Collect(maps.Keys(nothing)))
}

// The chart installs two operators beside each other without sharing a name.
func TestReleasesShareNoName(t *testing.T) {
	a := render(t, "class", "--set", "defaultClass.name=a,fullnameOverride=a")
	b := render(t, "class", "--set", "defaultClass.name=b,fullnameOverride=b")
	for key := range a {
		require.NotContains(t, b, key)
	}
}

// readConfig reads an object of the kustomize tree.
func readConfig(t *testing.T, file string) objects {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "config/rbac", file))
	require.NoError(t, err)
	return decode(t, content)
}

// The operator has the rights that its code asks for, whichever way it is
// installed, and no others.
func TestRolesEqualConfig(t *testing.T) {
	rendered := render(t, "everything", "--set", "fullnameOverride=operator")
	config := readConfig(t, "role.yaml")
	all := granted(find[*rbacv1.ClusterRole](t, config, "leaderboard-operator").Rules)
	require.Equal(t, all, granted(find[*rbacv1.ClusterRole](t, rendered, "operator").Rules))

	// In namespaces that are watched it has what it has in all of them otherwise.
	watching := render(t, "everything", "--set", "fullnameOverride=operator,watchNamespaces[0]=team-a")
	ofCluster, ofGames := find[*rbacv1.ClusterRole](t, watching, "operator").Rules, find[*rbacv1.Role](t, watching, "operator-games")
	require.Equal(t, all, granted(append(slices.Clone(ofCluster), ofGames.Rules...)))
	require.Equal(t, "team-a", ofGames.Namespace)
	for _, right := range granted(ofCluster) {
		require.Regexp(t, "^(/.*|/namespaces|events.k8s.io/events|games.leaderboard.dev/leaderboardclasses(/status)?|networking.k8s.io/ingressclasses) (create|get|list|patch|watch)$", right)
	}

	role := find[*rbacv1.Role](t, rendered, "operator")
	require.Equal(t, find[*rbacv1.Role](t, config, "leaderboard-operator").Rules, role.Rules)
	require.Equal(t, operatorNamespace, role.Namespace)

	for _, user := range []string{"editor", "viewer"} {
		want := find[*rbacv1.ClusterRole](t, readConfig(t, "leaderboard_"+user+"_role.yaml"), "leaderboard-"+user)
		got := find[*rbacv1.ClusterRole](t, rendered, "operator-"+user)
		require.Equal(t, want.Rules, got.Rules)
		require.NotEmpty(t, want.Labels)
		for key, value := range want.Labels {
			require.Equal(t, value, got.Labels[key])
		}
	}

	account := rbacv1.Subject{Kind: "ServiceAccount", Name: "boards", Namespace: operatorNamespace}
	for _, binding := range []struct {
		ref      rbacv1.RoleRef
		subjects []rbacv1.Subject
		kind     string
	}{
		{find[*rbacv1.ClusterRoleBinding](t, rendered, "operator").RoleRef, find[*rbacv1.ClusterRoleBinding](t, rendered, "operator").Subjects, "ClusterRole"},
		{find[*rbacv1.RoleBinding](t, rendered, "operator").RoleRef, find[*rbacv1.RoleBinding](t, rendered, "operator").Subjects, "Role"},
	} {
		require.Equal(t, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: binding.kind, Name: "operator"}, binding.ref)
		require.Equal(t, []rbacv1.Subject{account}, binding.subjects)
	}

	require.Equal(t, "boards", find[*appsv1.Deployment](t, rendered, "operator").Spec.Template.Spec.ServiceAccountName)
}

// granted are the rights of rules one by one.
func granted(rules []rbacv1.PolicyRule) (list []string) {
	for _, rule := range rules {
		for _, verb := range rule.Verbs {
			for _, url := range rule.NonResourceURLs {
				list = append(list, url+" "+verb)
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					list = append(list, group+"/"+resource+" "+verb)
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

// The hosts of games are guarded in the same way by the chart and by the kustomize
// tree.
func TestIngressHostsEqualConfig(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "config/admission/ingress_hosts.yaml"))
	require.NoError(t, err)
	config := decode(t, content)
	policy := find[*admissionv1.ValidatingAdmissionPolicy](t, config, "leaderboard-ingress-hosts").Spec
	binding := find[*admissionv1.ValidatingAdmissionPolicyBinding](t, config, "leaderboard-ingress-hosts").Spec

	rendered := render(t, "minimal", "--set", "fullnameOverride=leaderboard-operator")
	require.Equal(t, policy, find[*admissionv1.ValidatingAdmissionPolicy](t, rendered, "leaderboard-operator-ingress-hosts").Spec)
	got := find[*admissionv1.ValidatingAdmissionPolicyBinding](t, rendered, "leaderboard-operator-ingress-hosts").Spec
	require.Equal(t, "leaderboard-operator-ingress-hosts", got.PolicyName)
	got.PolicyName = binding.PolicyName
	require.Equal(t, binding, got)

	allowed := render(t, "minimal", "--set", "fullnameOverride=leaderboard-operator,ingressHosts.allowedUsers[0]=system:serviceaccount:cert-manager:cert-manager")
	require.Equal(t, "!(request.userInfo.username in ['system:serviceaccount:leaderboard-system:leaderboard-operator', 'system:serviceaccount:cert-manager:cert-manager'])",
		find[*admissionv1.ValidatingAdmissionPolicy](t, allowed, "leaderboard-operator-ingress-hosts").Spec.MatchConditions[0].Expression)
}

// What Pod Security calls restricted, and a root file system that nobody writes.
func TestPodIsRestricted(t *testing.T) {
	for _, values := range []string{"minimal", "everything"} {
		pod := find[*appsv1.Deployment](t, render(t, values, "--set", "fullnameOverride=operator"), "operator").Spec.Template.Spec
		require.True(t, *pod.SecurityContext.RunAsNonRoot)
		require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)

		for _, container := range pod.Containers {
			require.False(t, *container.SecurityContext.AllowPrivilegeEscalation)
			require.True(t, *container.SecurityContext.ReadOnlyRootFilesystem)
			require.Equal(t, []corev1.Capability{"ALL"}, container.SecurityContext.Capabilities.Drop)
			require.NotNil(t, container.LivenessProbe)
			require.NotNil(t, container.ReadinessProbe)
			require.NotEmpty(t, container.Resources.Requests)
			require.NotEmpty(t, container.Resources.Limits)
		}
	}
}

func TestPodFollowsValues(t *testing.T) {
	d := find[*appsv1.Deployment](t, render(t, "everything", "--set", "fullnameOverride=operator"), "operator")
	require.EqualValues(t, 3, *d.Spec.Replicas)
	pod := d.Spec.Template.Spec
	require.Equal(t, "registry.example.com:5000/games/leaderboard-operator:v9", pod.Containers[0].Image)
	require.Equal(t, corev1.PullAlways, pod.Containers[0].ImagePullPolicy)
	require.EqualValues(t, 30, *pod.TerminationGracePeriodSeconds, "shutdownTimeoutSeconds and a margin")
	require.Len(t, pod.TopologySpreadConstraints, 1, "a second one could switch it off")
	require.Equal(t, corev1.LabelHostname, pod.TopologySpreadConstraints[0].TopologyKey)
	require.Equal(t, "metrics-tls", pod.Volumes[0].Secret.SecretName)
	require.Equal(t, "system-cluster-critical", pod.PriorityClassName)
	require.Len(t, pod.Tolerations, 1)
	require.Equal(t, "2", d.Spec.Template.Labels["example.com/b"])

	for key, value := range d.Spec.Selector.MatchLabels {
		require.Equal(t, value, d.Spec.Template.Labels[key])
	}

	d = find[*appsv1.Deployment](t, render(t, "minimal"), "leaderboard-operator")
	require.Equal(t, "leaderboard-operator:"+appVersion(t), d.Spec.Template.Spec.Containers[0].Image)
	require.Empty(t, d.Spec.Template.Spec.TopologySpreadConstraints)
	require.Nil(t, d.Spec.Template.Spec.Affinity)

	require.NotNil(t, d.Spec.Template.Spec.SecurityContext.RunAsUser)

	d = find[*appsv1.Deployment](t, render(t, "minimal", "--set", "runAsUser=FromPlatform"), "leaderboard-operator")
	require.Nil(t, d.Spec.Template.Spec.SecurityContext.RunAsUser)
	require.Nil(t, d.Spec.Template.Spec.SecurityContext.RunAsGroup)
	require.True(t, *d.Spec.Template.Spec.SecurityContext.RunAsNonRoot)

	d = find[*appsv1.Deployment](t, render(t, "minimal", "--set", "replicaCount=2"), "leaderboard-operator")
	apart := d.Spec.Template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	require.Len(t, apart, 1)
	require.Equal(t, corev1.LabelTopologyZone, apart[0].PodAffinityTerm.TopologyKey)
	require.Equal(t, d.Spec.Selector.MatchLabels, apart[0].PodAffinityTerm.LabelSelector.MatchLabels)
}

func appVersion(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(chartPath, "Chart.yaml"))
	require.NoError(t, err)
	var chart struct {
		AppVersion string `json:"appVersion"`
	}

	require.NoError(t, yaml.Unmarshal(content, &chart))
	require.NotEmpty(t, chart.AppVersion)
	return chart.AppVersion
}

// The operator knows every flag that the chart sets: after them, it complains
// about the argument that follows.
func TestOperatorKnowsTheFlags(t *testing.T) {
	binary := os.Getenv("OPERATOR_BIN")
	require.NotEmpty(t, binary, "OPERATOR_BIN is the operator's program: run make test, which builds and names it, or make build and name bin/leaderboard-operator by its full path")

	for _, values := range []string{"minimal", "everything"} {
		args := find[*appsv1.Deployment](t, render(t, values, "--set", "fullnameOverride=operator"), "operator").Spec.Template.Spec.Containers[0].Args
		_, err := program(t, nil, nil, binary, append(args, "surplus")...)
		require.ErrorContains(t, err, `unexpected argument "surplus"`)
	}
}

func TestDefaultClass(t *testing.T) {
	class := find[*games.LeaderboardClass](t, render(t, "class"), "default")
	require.Equal(t, "true", class.Annotations[games.DefaultClassAnnotation])
	require.Equal(t, "keep", class.Annotations["helm.sh/resource-policy"])
	require.Equal(t, games.LeaderboardClassSpec{
		ControllerName: games.DefaultControllerName,
		Image:          "leaderboard-server:" + appVersion(t),
		Postgres:       games.PostgresSpec{Host: "postgres.databases.svc", Database: "leaderboard", AdminSecretRef: games.AdminSecretReference{Name: "leaderboard-postgres-admin"}},
		Redis:          games.RedisSpec{Endpoints: []string{"redis.databases.svc:6379"}, AdminSecretRef: games.AdminSecretReference{Name: "leaderboard-redis-admin"}},
	}, class.Spec)

	class = find[*games.LeaderboardClass](t, render(t, "everything"), "eu")
	require.NotContains(t, class.Annotations, games.DefaultClassAnnotation)
	require.Equal(t, "example.com/operator", class.Spec.ControllerName)
	require.Equal(t, "registry.example.com/games/leaderboard-server:v8", class.Spec.Image)
	require.Equal(t, corev1.PullIfNotPresent, class.Spec.ImagePullPolicy)
	require.Equal(t, games.RedisSentinel, class.Spec.Redis.Mode)
	require.Equal(t, "mymaster", class.Spec.Redis.MasterName)
	require.EqualValues(t, 5433, class.Spec.Postgres.Port)
	require.Equal(t, "pgbouncer.databases.svc", class.Spec.Postgres.PoolerHost)
	require.EqualValues(t, 6433, class.Spec.Postgres.PoolerPort)
	require.Zero(t, *class.Spec.Limits.MaxBoards, "zero is a value, not nothing")
	require.Equal(t, "games-tls", *class.Spec.Exposure.TLSSecretName)
	require.Equal(t, map[string]string{"games": "true"}, class.Spec.AllowedNamespaces.Selector.MatchLabels)

	class = find[*games.LeaderboardClass](t, render(t, "class", "--set", "defaultClass.pods.drainSeconds=60",
		"--set-string", "defaultClass.pods.rollout.maxSurge=50%", "--set", "defaultClass.objects.labels.team=platform"), "default")
	require.EqualValues(t, 60, *class.Spec.Pods.DrainSeconds)
	require.Equal(t, "50%", class.Spec.Pods.Rollout.MaxSurge.StrVal)
	require.EqualValues(t, "platform", class.Spec.Objects.Labels["team"])
}

func TestValuesRefused(t *testing.T) {
	class := []string{"--values", "testdata/class.yaml"}
	for _, test := range []struct {
		name  string
		args  []string
		wants []string
	}{
		{"unknown value", []string{"--set", "replicas=2"}, []string{"replicas", "not allowed"}},
		{"unknown value of the image", []string{"--set", "image.name=x"}, []string{"/image", "name", "not allowed"}},
		{"replicaCount that is a string", []string{"--set-string", "replicaCount=2"}, []string{"/replicaCount", "want integer"}},
		{"several Pods without leader election", []string{"--set", "replicaCount=2,leaderElection=false"}, []string{"/leaderElection", "true"}},
		{"unknown log level", []string{"--set", "log.level=trace"}, []string{"/log/level", "'debug', 'info', 'warn', 'error'"}},
		{"unknown pull policy", []string{"--set", "image.pullPolicy=always"}, []string{"/image/pullPolicy", "'Always'"}},
		{"image with a tag in its repository", []string{"--set", "image.repository=operator:v1"}, []string{"/image/repository"}},
		{"resync without a unit", []string{"--set-string", "resync=30"}, []string{"/resync"}},
		{"controllerName that is too long", []string{"--set", "controllerName=a/" + strings.Repeat("b", 260)}, []string{"/controllerName"}},
		{"metrics on the port of the probes", []string{"--set", "metrics.port=8081"}, []string{"/metrics/port"}},
		{"class without stores", []string{"--set", "defaultClass.create=true"}, []string{"/defaultClass/postgres", "'host', 'database', 'adminSecretRef'", "'endpoints', 'adminSecretRef'"}},
		{"class with an unknown field", append(class, "--set", "defaultClass.postgres.user=admin"), []string{"/defaultClass/postgres", "user", "not allowed"}},
		{"class with a password", append(class, "--set", "defaultClass.redis.password=secret"), []string{"/defaultClass/redis", "password", "not allowed"}},
		{"class with an unknown sslMode", append(class, "--set", "defaultClass.postgres.sslMode=prefer"), []string{"/defaultClass/postgres/sslMode", "'disable', 'require', 'verify-ca', 'verify-full'"}},
		{"class with a port that is none", append(class, "--set", "defaultClass.postgres.port=70000"), []string{"/defaultClass/postgres/port", "65,535"}},
		{"class with an unknown mode", append(class, "--set", "defaultClass.redis.mode=cluster"), []string{"/defaultClass/redis/mode", "'Cluster'"}},
		{"class without an endpoint", append(class, "--set", "defaultClass.redis.endpoints=null"), []string{"/defaultClass/redis", "endpoints"}},
		{"class without the name of a Secret", append(class, "--set", "defaultClass.postgres.adminSecretRef.name=null"), []string{"/defaultClass/postgres/adminSecretRef", "name"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := helm(t, append([]string{"template", release, chartPath}, test.args...)...)
			require.Error(t, err)
			for _, want := range test.wants {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestLint(t *testing.T) {
	for _, values := range []string{"minimal", "class", "everything"} {
		_, err := helm(t, "lint", "--strict", chartPath, "--values", filepath.Join("testdata", values+".yaml"))
		require.NoError(t, err)
	}
}
