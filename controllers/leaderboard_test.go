package controllers

import (
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	ledger "github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

// From a manifest to a workload whose credentials work.
func TestLeaderboardBecomesReady(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	lb := create(t, newLeaderboard(namespace(t), class))

	// No Pods yet: everything but the workload is there.
	becomes(t, lb, map[string]string{
		v1alpha1.ConditionSchemaReady: "True Ready", v1alpha1.ConditionKeyspaceReady: "True Ready",
		v1alpha1.ConditionWorkloadAvailable: "False Progressing", v1alpha1.ConditionReady: "False Progressing",
		v1alpha1.ConditionReconciling: "True Progressing", v1alpha1.ConditionStalled: "",
	})
	playDeployments(t, lb.Namespace)
	becomes(t, lb, allReady)

	name := tenant.For("test", lb.Namespace, lb.Name)
	require.Equal(t, name.ID, lb.Status.Tenant)
	require.Equal(t, class.Name, lb.Status.ClassName)
	require.Equal(t, "http://race-leaderboard."+lb.Namespace+".svc", lb.Status.Endpoint)
	require.EqualValues(t, 2, lb.Status.Boards)
	require.EqualValues(t, 2, lb.Status.Replicas)
	require.EqualValues(t, 2, lb.Status.ReadyReplicas)
	selector, err := metav1.ParseToLabelSelector(lb.Status.Selector)
	require.NoError(t, err)
	require.Equal(t, workload.Selector(lb), selector.MatchLabels)

	for _, condition := range lb.Status.Conditions {
		require.Equal(t, lb.Generation, condition.ObservedGeneration, condition.Type)
		require.Greater(t, condition.LastTransitionTime.Year(), 2000, condition.Type)
	}

	secret := credentialsOf(t, lb)
	conn, err := connectAs(t, secret)
	require.NoError(t, err)
	version, err := ledger.CurrentVersion(t.Context(), conn, name.Schema())
	require.NoError(t, err)
	require.Equal(t, ledger.RequiredVersion(), version)
	var login string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_user").Scan(&login))
	require.Equal(t, name.LoginRole(tenant.SlotA), login)

	keys := &corev1.Secret{}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: lb.Namespace, Name: workload.SigningKeysName(lb)}, keys))
	_, err = keyset.Parse(keys.Data[workload.SigningKeysKey])
	require.NoError(t, err)

	// Nothing but the tenant's own is in its namespace.
	for _, object := range ownedBy(t, lb) {
		if secret, is := object.(*corev1.Secret); is {
			for key, value := range secret.Data {
				require.NotContains(t, string(value), class.Spec.Postgres.AdminSecretRef.Name, key)
				require.NotContains(t, string(value), redis.AdminPassword(), key)
			}
		}
	}

	eventually(t, class, func() bool { return class.Status.Leaderboards == 1 })
	require.Contains(t, class.Finalizers, v1alpha1.ClassFinalizer)
}

func TestConditionsAreUnknownFirst(t *testing.T) {
	lb := &v1alpha1.Leaderboard{}
	lb.Generation = 1
	c := conditions{list: &lb.Status.Conditions, generation: 1}
	require.True(t, c.initialize())

	for _, conditionType := range steadyConditions {
		require.Equal(t, "Unknown Pending", conditionText(lb.Status.Conditions, conditionType))
	}

	require.Equal(t, "True Progressing", conditionText(lb.Status.Conditions, v1alpha1.ConditionReconciling))
	require.False(t, c.initialize(), "once")
}

// What the user has to put right: Stalled, a message that says how, and it goes
// on by itself once that is done.
func TestWhatStalls(t *testing.T) {
	controller := startManager(t)
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "games"}}
	for name, test := range map[string]struct {
		class   func(*v1alpha1.LeaderboardClass)
		spec    func(*v1alpha1.Leaderboard)
		reason  string
		message string
		fix     func(t *testing.T, lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass)
	}{
		"the class does not exist": {
			spec:   func(lb *v1alpha1.Leaderboard) { lb.Spec.ClassName = new("nobody-s") },
			reason: v1alpha1.ReasonClassNotFound, message: "kubectl get leaderboardclasses",
			fix: nil,
		},
		"the admin Secret does not exist": {
			class: func(class *v1alpha1.LeaderboardClass) {
				class.Spec.Redis.AdminSecretRef.Name = class.Name + "-elsewhere"
			},
			reason: v1alpha1.ReasonClassNotReady, message: "-elsewhere in the namespace leaderboard-system",
			fix: func(t *testing.T, _ *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) {
				createSecret(t, class.Name+"-elsewhere", map[string]string{"username": "admin", "password": redis.AdminPassword()})
			},
		},
		"the admin Secret lacks a key": {
			class: func(class *v1alpha1.LeaderboardClass) {
				createSecret(t, class.Name+"-broken", map[string]string{"username": "admin"})
				class.Spec.Redis.AdminSecretRef.Name = class.Name + "-broken"
			},
			reason: v1alpha1.ReasonClassNotReady, message: "lacks the key password",
			fix: func(t *testing.T, _ *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) {
				secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: class.Name + "-broken"}}
				patch(t, secret, func() { secret.Data["password"] = []byte(redis.AdminPassword()) })
			},
		},
		"the namespace is not admitted": {
			class: func(class *v1alpha1.LeaderboardClass) {
				class.Spec.AllowedNamespaces = v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesFromSelector, Selector: selector}
			},
			reason: v1alpha1.ReasonNamespaceNotAllowed, message: "team=games",
			fix: func(t *testing.T, lb *v1alpha1.Leaderboard, _ *v1alpha1.LeaderboardClass) {
				ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: lb.Namespace}}
				patch(t, ns, func() { ns.Labels["team"] = "games" })
			},
		},
		"more replicas than the class allows": {
			spec:   func(lb *v1alpha1.Leaderboard) { lb.Spec.Replicas = new(int32(21)) },
			reason: v1alpha1.ReasonLimitExceeded, message: "spec.replicas is 21",
			fix: func(t *testing.T, lb *v1alpha1.Leaderboard, _ *v1alpha1.LeaderboardClass) {
				patch(t, lb, func() { lb.Spec.Replicas = new(int32(2)) })
			},
		},
		"more replicas than connections": {
			class:  func(class *v1alpha1.LeaderboardClass) { class.Spec.Limits.PostgresConnections = 40 },
			spec:   func(lb *v1alpha1.Leaderboard) { lb.Spec.Replicas = new(int32(10)) },
			reason: v1alpha1.ReasonLimitExceeded, message: "suffice for 6 Pods",
			fix: func(t *testing.T, _ *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) {
				patch(t, class, func() { class.Spec.Limits.PostgresConnections = 80 })
			},
		},
		"more boards than the class allows": {
			class:  func(class *v1alpha1.LeaderboardClass) { class.Spec.Limits.MaxBoards = new(int32) },
			reason: v1alpha1.ReasonLimitExceeded, message: "spec.boards has 1 boards",
			fix: func(t *testing.T, lb *v1alpha1.Leaderboard, _ *v1alpha1.LeaderboardClass) {
				patch(t, lb, func() { lb.Spec.Boards = nil })
			},
		},
		"autoscaling without a CPU request": {
			spec: func(lb *v1alpha1.Leaderboard) {
				lb.Spec.Autoscaling = &v1alpha1.AutoscalingSpec{MinReplicas: 1, MaxReplicas: 2, TargetCPUUtilizationPercentage: 50}
				lb.Spec.Resources = &v1alpha1.Resources{}
			},
			reason: v1alpha1.ReasonLimitExceeded, message: "spec.resources.requests.cpu",
			fix: func(t *testing.T, lb *v1alpha1.Leaderboard, _ *v1alpha1.LeaderboardClass) {
				patch(t, lb, func() { lb.Spec.Resources = nil })
			},
		},
		"an Ingress without a domain": {
			spec: func(lb *v1alpha1.Leaderboard) {
				lb.Spec.Exposure = &v1alpha1.ExposureSpec{Type: v1alpha1.ExposureIngress}
			},
			reason: v1alpha1.ReasonLimitExceeded, message: "exposure.domain",
			fix: func(t *testing.T, _ *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) {
				patch(t, class, func() { class.Spec.Exposure.Domain = "games.example.com" })
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			class := newClass(t, controller, postgres, redis, func(class *v1alpha1.LeaderboardClass) {
				if test.class != nil {
					test.class(class)
				}
			})
			ns := namespace(t)
			playDeployments(t, ns)
			lb := newLeaderboard(ns, class)
			if test.spec != nil {
				test.spec(lb)
			}

			create(t, lb)
			becomes(t, lb, map[string]string{
				v1alpha1.ConditionReady: "False " + test.reason, v1alpha1.ConditionStalled: "True " + test.reason,
				v1alpha1.ConditionReconciling: "", v1alpha1.ConditionSchemaReady: "Unknown Pending",
				v1alpha1.ConditionKeyspaceReady: "Unknown Pending", v1alpha1.ConditionWorkloadAvailable: "Unknown Pending",
			})

			require.Contains(t, message(lb), test.message)
			require.Empty(t, ownedBy(t, lb))
			require.Empty(t, rolesOf(t, postgres, class, tenant.For("test", ns, "race").Schema()))

			if test.fix != nil {
				test.fix(t, lb, class)
				becomes(t, lb, allReady)
			}
		})
	}
}

// A Leaderboard that names no class waits for a default, and keeps it when
// another becomes the default.
func TestDefaultClass(t *testing.T) {
	controller := startManager(t)
	class := newClass(t, controller, postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	lb.Spec.ClassName = nil
	create(t, lb)
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False ClassNotFound", v1alpha1.ConditionStalled: "True ClassNotFound"})

	markDefault := func(class *v1alpha1.LeaderboardClass) {
		patch(t, class, func() { class.Annotations = map[string]string{v1alpha1.DefaultClassAnnotation: "true"} })
	}
	markDefault(class)
	becomes(t, lb, allReady)
	require.Equal(t, class.Name, lb.Status.ClassName)
	require.Equal(t, class.Name, *lb.Spec.ClassName, "a copy without the status is of this class, too")

	other := newClass(t, controller, postgres, redis)
	markDefault(other)
	for _, c := range []*v1alpha1.LeaderboardClass{class, other} {
		eventually(t, c, func() bool {
			return conditionText(c.Status.Conditions, v1alpha1.ConditionAccepted) == "False MultipleDefaults"
		})
	}

	second := newLeaderboard(ns, class)
	second.Name, second.Spec.ClassName = "chess", nil
	create(t, second)
	becomes(t, second, map[string]string{v1alpha1.ConditionReady: "False ClassNotFound"})
	require.Contains(t, message(second), other.Name)

	patch(t, lb, func() { lb.Spec.Replicas = new(int32(3)) })
	becomes(t, lb, allReady)
	require.Equal(t, class.Name, lb.Status.ClassName)

	patch(t, other, func() { other.Annotations = nil })
	becomes(t, second, allReady)
	eventually(t, class, func() bool {
		return conditionText(class.Status.Conditions, v1alpha1.ConditionAccepted) == "True Accepted"
	})
}

// While suspended nothing is written but the status; what runs goes on.
func TestSuspend(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	patch(t, lb, func() { lb.Spec.Suspend, lb.Spec.Replicas = true, new(int32(3)) })
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "True Suspended", v1alpha1.ConditionReconciling: "", v1alpha1.ConditionStalled: ""})
	require.NoError(t, cluster.Delete(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: workload.Name(lb)}}))

	deployment := deploymentOf(t, lb)
	patch(t, deployment, func() { deployment.Spec.Replicas = new(int32(5)) })
	eventually(t, lb, func() bool { return lb.Status.ReadyReplicas == 5 })
	require.EqualValues(t, 5, *deploymentOf(t, lb).Spec.Replicas)

	patch(t, lb, func() { lb.Spec.Suspend = false })
	becomes(t, lb, allReady)
	require.EqualValues(t, 3, *deploymentOf(t, lb).Spec.Replicas)
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: lb.Namespace, Name: workload.Name(lb)}, &corev1.Service{}))
}

// A Leaderboard that was suspended from the beginning can be deleted.
func TestDeleteWhileSuspended(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	lb := newLeaderboard(namespace(t), class)
	lb.Spec.Suspend = true
	create(t, lb)
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False Suspended"})
	require.NoError(t, cluster.Delete(t.Context(), lb))
	eventuallyGone(t, lb)
}

// An object of somebody else that has a name of ours is left alone.
func TestForeignObjectIsLeftAlone(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	foreign := create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "race-leaderboard-boards"}, Data: map[string]string{"a": "b"}})
	lb := create(t, newLeaderboard(ns, class))
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False ApplyFailed", v1alpha1.ConditionStalled: "True ApplyFailed",
		v1alpha1.ConditionWorkloadAvailable: "False ApplyFailed", v1alpha1.ConditionSchemaReady: "True Ready"})
	require.Contains(t, message(lb), "ConfigMap race-leaderboard-boards")
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(foreign), foreign))
	require.Equal(t, map[string]string{"a": "b"}, foreign.Data)
	require.NoError(t, cluster.Delete(t.Context(), foreign))
	becomes(t, lb, allReady)
}

// The exposure can change in both directions.
func TestExposure(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) {
		class.Spec.Exposure = v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "localhost", Port: 8088}
	})
	lb := readyGame(t, class)
	require.Equal(t, "http://race."+lb.Namespace+".localhost:8088", lb.Status.Endpoint)
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: workload.Name(lb)}}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(ingress), ingress))

	patch(t, lb, func() { lb.Spec.Exposure = &v1alpha1.ExposureSpec{Type: v1alpha1.ExposureService} })
	eventuallyGone(t, ingress)
	becomes(t, lb, allReady)
	require.Equal(t, "http://race-leaderboard."+lb.Namespace+".svc", lb.Status.Endpoint)

	patch(t, lb, func() { lb.Spec.Exposure = nil })
	eventually(t, ingress, func() bool { return true })
}

// A class of another controller is none of our business.
func TestOtherControllersAreLeftAlone(t *testing.T) {
	mine, other := startManager(t), unique("other")+"/operator"
	class, foreign := newClass(t, mine, postgres, redis), newClass(t, other, postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	theirs := newLeaderboard(ns, foreign)
	theirs.Name = "theirs"
	create(t, theirs)

	becomes(t, create(t, newLeaderboard(ns, class)), allReady) // by now ours had its turn
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs))
	require.Empty(t, theirs.Finalizers)
	require.Zero(t, theirs.Status.ObservedGeneration)
	require.Equal(t, "Unknown Pending", conditionText(foreign.Status.Conditions, v1alpha1.ConditionAccepted))
}

func TestAvailability(t *testing.T) {
	for name, test := range map[string]struct {
		status    appsv1.DeploymentStatus
		least     int32
		available bool
		reason    string
	}{
		"not seen yet":             {appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}, 2, false, "Progressing"},
		"no Pods asked for":        {appsv1.DeploymentStatus{ObservedGeneration: 2}, 0, true, "ScaledToZero"},
		"Pods are being ended":     {appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}, 0, false, "Progressing"},
		"old Pods are left":        {appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 2, AvailableReplicas: 3}, 2, false, "Progressing"},
		"new Pods are not ready":   {appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 1}, 2, false, "Progressing"},
		"all":                      {appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}, 2, true, "Ready"},
		"the autoscaler adds some": {appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 5, UpdatedReplicas: 5, AvailableReplicas: 2}, 2, true, "Ready"},
		"no Pod can be made": {appsv1.DeploymentStatus{ObservedGeneration: 2, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota"}}}, 2, false, "WorkloadUnavailable"},
		"the rollout is stuck": {appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 1, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Message: "timed out"}}}, 2, false, "WorkloadUnavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Generation: 2}, Status: test.status}
			deployment.Spec.Selector = &metav1.LabelSelector{}
			available, reason, message := availability(deployment, test.least)
			require.Equal(t, test.available, available)
			require.Equal(t, test.reason, reason)
			require.NotEmpty(t, message)
		})
	}
}
