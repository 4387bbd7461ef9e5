package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// watched are the namespaces whose Leaderboards the operator sees to; none: all.
type watched []string

func (w watched) validate() error {
	for i, namespace := range w {
		if problems := content.IsDNS1123Label(namespace); len(problems) > 0 {
			return fmt.Errorf("-watch-namespaces has %q, which is no name of a namespace: separate them by commas, as in team-a,team-b", namespace)
		}
		if slices.Contains(w[:i], namespace) {
			return fmt.Errorf("-watch-namespaces has %s twice: leave one out", namespace)
		}
	}
	return nil
}

// has says whether the Leaderboards of a namespace are seen to.
func (w watched) has(namespace string) bool { return len(w) == 0 || slices.Contains(w, namespace) }

// cached are the namespaces for the manager's cache.
func (w watched) cached() map[string]cache.Config {
	if len(w) == 0 {
		return nil
	}
	namespaces := make(map[string]cache.Config, len(w))
	for _, namespace := range w {
		namespaces[namespace] = cache.Config{}
	}
	return namespaces
}

// leaderboards lists those of the namespaces, in each of which the reader may list them.
func (w watched) leaderboards(ctx context.Context, reader client.Reader) ([]v1alpha1.Leaderboard, error) {
	list := &v1alpha1.LeaderboardList{}
	if len(w) == 0 {
		err := reader.List(ctx, list)
		return list.Items, err
	}

	var all []v1alpha1.Leaderboard
	var errs []error
	for _, namespace := range w {
		errs = append(errs, reader.List(ctx, list, client.InNamespace(namespace)))
		all = append(all, list.Items...)
	}
	return all, errors.Join(errs...)
}
