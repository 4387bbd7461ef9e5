package workload

import (
	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

const (
	// suffix of every object's name: it keeps them apart from what a game team
	// makes under the game's own name. A Leaderboard's name has at most 40
	// characters, so a Service's (at most 63) always fits.
	suffix = "-leaderboard"

	// appName is the app.kubernetes.io/name of every object.
	appName = "leaderboard-server"

	// ManagedBy is the app.kubernetes.io/managed-by of every object; the
	// operator's cache holds only what carries it.
	ManagedBy = "leaderboard-operator"
)

// Label keys, as https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/ names them.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance"
	LabelComponent = "app.kubernetes.io/component"
	LabelPartOf    = "app.kubernetes.io/part-of"
	LabelManagedBy = "app.kubernetes.io/managed-by"
)

// ScrapeNamespaceLabel is what, set to "true" on a namespace, lets its Pods
// reach the port with metrics and profiles.
const ScrapeNamespaceLabel = "games.leaderboard.dev/scrape"

// Name is the name of the Deployment, Service, Ingress, ServiceAccount,
// NetworkPolicy, PodDisruptionBudget and HorizontalPodAutoscaler.
func Name(lb *v1alpha1.Leaderboard) string { return lb.Name + suffix }

// CredentialsName is the name of the Secret with the tenant's credentials.
func CredentialsName(lb *v1alpha1.Leaderboard) string { return lb.Name + suffix + "-credentials" }

// SigningKeysName is the name of the Secret with the keys that sign tokens.
func SigningKeysName(lb *v1alpha1.Leaderboard) string { return lb.Name + suffix + "-signing-keys" }

// AccountsName is the name of the Secret with what the servers know of service accounts.
func AccountsName(lb *v1alpha1.Leaderboard) string { return lb.Name + suffix + "-service-accounts" }

// AccountName is the name of the Secret with the credentials of a service account.
func AccountName(lb *v1alpha1.Leaderboard, account string) string {
	return lb.Name + suffix + "-account-" + account
}

// WebhooksName is the name of the Secret with what the servers know of webhooks.
func WebhooksName(lb *v1alpha1.Leaderboard) string { return lb.Name + suffix + "-webhooks" }

// WebhookName is the name of the Secret with what the messages to a webhook are signed with.
func WebhookName(lb *v1alpha1.Leaderboard, webhook string) string {
	return lb.Name + suffix + "-webhook-" + webhook
}

// BoardsName is the name of the ConfigMap with the boards.
func BoardsName(lb *v1alpha1.Leaderboard) string { return lb.Name + suffix + "-boards" }

// Labels of every object of a Leaderboard: the class's, and those of the operator. The map
// is the caller's.
func Labels(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) map[string]string {
	return merged(texts(class.Spec.Objects.Labels), ownLabels(lb))
}

// ownLabels are those of the operator.
func ownLabels(lb *v1alpha1.Leaderboard) map[string]string {
	return map[string]string{
		LabelName:      appName,
		LabelInstance:  lb.Name,
		LabelComponent: "server",
		LabelPartOf:    "leaderboard",
		LabelManagedBy: ManagedBy,
	}
}

// Selector matches the Pods of a Leaderboard. A Deployment's selector cannot be
// changed, so nothing may ever be added here. The map is the caller's.
func Selector(lb *v1alpha1.Leaderboard) map[string]string {
	return map[string]string{LabelName: appName, LabelInstance: lb.Name}
}
