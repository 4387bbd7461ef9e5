package workload

import (
	"fmt"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/workloads"
)

// Mappings are the ServiceAccounts that are service accounts of the game.
func Mappings(lb *v1alpha1.Leaderboard) []workloads.Mapping {
	var list []workloads.Mapping
	for _, account := range lb.Spec.ServiceAccounts {
		for _, named := range account.Kubernetes {
			namespace := named.Namespace
			if namespace == "" {
				namespace = lb.Namespace
			}
			list = append(list, workloads.Mapping{Namespace: namespace, ServiceAccount: named.ServiceAccount, Account: account.Name})
		}
	}
	return list
}

// CheckMappings returns why the server would refuse them, or the class has no place for them.
func CheckMappings(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) error {
	list := Mappings(lb)
	if len(list) > 0 && class.Spec.ServiceAccountIssuer == nil {
		return fmt.Errorf("the LeaderboardClass %s has no serviceAccountIssuer, so no ServiceAccount can be a service account: remove kubernetes, or ask the platform team to set it", class.Name)
	}

	seen := map[string]string{}
	for _, m := range list {
		if other, twice := seen[m.Subject()]; twice {
			return fmt.Errorf("the ServiceAccount %s of the namespace %s is named twice, of %s and of %s: it can be one service account only", m.ServiceAccount, m.Namespace, other, m.Account)
		}
		seen[m.Subject()] = m.Account
	}
	return nil
}
