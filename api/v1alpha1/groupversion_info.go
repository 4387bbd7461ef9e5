// Package v1alpha1 holds the API of games.leaderboard.dev: Leaderboard, which a
// game team applies to get a leaderboard service of its own, and
// LeaderboardClass, with which a platform team says where and how such services
// run.
//
// +kubebuilder:object:generate=true
// +groupName=games.leaderboard.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the types in this package.
var GroupVersion = schema.GroupVersion{Group: "games.leaderboard.dev", Version: "v1alpha1"}

// AddToScheme registers the types of this package with a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&Leaderboard{}, &LeaderboardList{},
		&LeaderboardClass{}, &LeaderboardClassList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
