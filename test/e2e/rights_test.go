package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// operatorRights is all that the operator may do to each kind of object, in every
// namespace: what its chart says, written down a second time on purpose. A right
// that is added anywhere, by a binding to a group of accounts for example, shows.
var operatorRights = map[string]string{
	"configmaps":                                      "create get list patch watch",
	"serviceaccounts":                                 "create get list patch watch",
	"services":                                        "create get list patch watch",
	"namespaces":                                      "get list watch",
	"pods":                                            "list",
	"secrets":                                         "create delete get patch",
	"deployments.apps":                                "create delete get list patch watch",
	"events.events.k8s.io":                            "create patch",
	"ingresses.networking.k8s.io":                     "create delete get list patch watch",
	"ingressclasses.networking.k8s.io":                "list",
	"networkpolicies.networking.k8s.io":               "create delete get list patch watch",
	"poddisruptionbudgets.policy":                     "create get list patch watch",
	"horizontalpodautoscalers.autoscaling":            "create delete get list patch watch",
	"leaderboards.games.leaderboard.dev":              "get list patch watch",
	"leaderboards/status.games.leaderboard.dev":       "patch",
	"leaderboards/finalizers.games.leaderboard.dev":   "update",
	"leaderboardclasses.games.leaderboard.dev":        "get list patch watch",
	"leaderboardclasses/status.games.leaderboard.dev": "patch",
}

// ownNamespaceRights is what it may do in its own namespace beyond that.
var ownNamespaceRights = map[string]string{
	"secrets":                    "list watch",
	"leases.coordination.k8s.io": "create get update",
}

// Of every verb on every kind of object that the cluster has, the operator may use
// those of its chart, and no other that not every ServiceAccount may use.
func TestOperatorRights(t *testing.T) {
	lb := create(t, game(namespace(t), "race", 1))
	everywhere := rights(operatorRights)
	require.Equal(t, everywhere, allowed(t, lb.Namespace))
	own := append(rights(ownNamespaceRights), everywhere...)
	slices.Sort(own)
	require.Equal(t, slices.Compact(own), allowed(t, operatorNamespace))
}

// rights lists "verb resource" of every entry, sorted.
func rights(of map[string]string) []string {
	var list []string
	for resource, verbs := range of {
		for verb := range strings.FieldsSeq(verbs) {
			list = append(list, verb+" "+resource)
		}
	}

	slices.Sort(list)
	return list
}

// allowed lists what the operator may do in a namespace, and to what is in none,
// as "verb resource", sorted, without what every ServiceAccount may do.
func allowed(t *testing.T, namespace string) []string {
	t.Helper()
	config := rest.CopyConfig(restConfig)

	config.QPS = -1 // there are some thousand questions, each of a millisecond
	asker, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	may := func(user string, groups []string, attributes authorizationv1.ResourceAttributes) bool {
		review, err := asker.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: &attributes, User: user, Groups: groups}}, metav1.CreateOptions{})
		require.NoError(t, err)
		return review.Status.Allowed
	}

	var list []string
	for _, attributes := range everyAttempt(t) {
		attributes.Namespace = namespace
		if may(serviceAccount(operatorName), accountGroups, attributes) && !may("somebody", []string{"system:serviceaccounts", "system:authenticated"}, attributes) {
			name := attributes.Resource
			if attributes.Subresource != "" {
				name += "/" + attributes.Subresource
			}
			if attributes.Group != "" {
				name += "." + attributes.Group
			}
			list = append(list, attributes.Verb+" "+name)
		}
	}

	slices.Sort(list)
	return slices.Compact(list)
}

// everyAttempt is every verb on every resource of the cluster, subresources too.
func everyAttempt(t *testing.T) []authorizationv1.ResourceAttributes {
	t.Helper()
	var groups []*metav1.APIResourceList
	// An extension of the API, as metrics are, may be away for a while: with its node.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var err error
		_, groups, err = clientset.Discovery().ServerGroupsAndResources()
		require.NoError(c, err)
	}, 5*time.Minute, time.Second)

	// What no resource of the cluster tells: the right to set an owner that blocks
	// its deletion, and verbs that give more than any other.
	attempts := []authorizationv1.ResourceAttributes{
		{Verb: "update", Group: "games.leaderboard.dev", Resource: "leaderboards", Subresource: "finalizers"},
		{Verb: "impersonate", Resource: "users"}, {Verb: "impersonate", Resource: "groups"}, {Verb: "impersonate", Resource: "serviceaccounts"},
		{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "roles"}, {Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
		{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "roles"}, {Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
		{Verb: "sign", Group: "certificates.k8s.io", Resource: "signers"}, {Verb: "approve", Group: "certificates.k8s.io", Resource: "signers"},
	}

	for _, list := range groups {
		group, version, found := strings.Cut(list.GroupVersion, "/")
		if !found {
			group, version = "", group
		}
		for _, resource := range list.APIResources {
			name, subresource, _ := strings.Cut(resource.Name, "/")
			for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
				attempts = append(attempts, authorizationv1.ResourceAttributes{Verb: verb, Group: group, Version: version, Resource: name, Subresource: subresource})
			}
		}
	}

	require.Greater(t, len(attempts), 500, "the cluster tells few of its resources")
	return attempts
}
