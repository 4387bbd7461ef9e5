package controllers

import (
	"context"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// hosts are the host names that games have, each one game's. Of two that would get the same,
// by the template of a class or by the domains of two, the first one keeps it. What processes
// of before gave is in the Ingresses, which are read once.
type hosts struct {
	mu sync.Mutex
	// heldBy is the Leaderboard of each host, nil until the Ingresses have been read, and served
	// the host that a Leaderboard's objects have: while its host changes, it holds both.
	heldBy map[string]types.UID
	served map[types.UID]string
}

func newHosts() *hosts {
	return &hosts{served: map[types.UID]string{}}
}

// take gives the host to the Leaderboard and reports whether it has it now. load reads who has
// which host in the Ingresses, and exists says whether there still is a Leaderboard that has one.
func (h *hosts) take(host string, lb types.UID, load func() (map[string]types.UID, error), exists func(types.UID) (bool, error)) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()

	if h.heldBy == nil {
		held, err := load()
		if err != nil {
			return false, err
		}
		h.heldBy = held
		for host, holder := range held {
			h.served[holder] = host
		}
	}

	if holder, held := h.heldBy[host]; held && holder != lb {
		there, err := exists(holder)
		if err != nil {
			return false, err
		}
		if there {
			return false, nil
		}
	}

	h.heldBy[host] = lb
	return true, nil
}

// serve notes that the objects of the Leaderboard have the host, and no other; "": they have
// none.
func (h *hosts) serve(host string, lb types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()

	if before := h.served[lb]; before != "" && before != host && h.heldBy[before] == lb {
		delete(h.heldBy, before)
	}
	if host == "" {
		delete(h.served, lb)
		return
	}
	h.served[lb] = host
}

// claimHost makes the host of the Leaderboard its own before anything is made for it.
func (r *LeaderboardReconciler) claimHost(ctx context.Context, lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) error {
	host := workload.HostOf(lb, class)
	if host == "" {
		return nil
	}

	taken, err := r.hosts.take(host, lb.UID,
		func() (map[string]types.UID, error) { return r.hostsOfIngresses(ctx) },
		func(uid types.UID) (bool, error) { return r.isThere(ctx, uid) })
	if err != nil {
		return failedBy(err, "", v1alpha1.ReasonProgressing, "The Ingresses could not be listed; this is tried again")
	}
	if taken {
		return nil
	}

	failure := stalledBy("", v1alpha1.ReasonHostTaken,
		"The host %s is that of another Leaderboard already: use another name, or ask the platform team for another exposure.hostTemplate of the LeaderboardClass %s", host, class.Name)
	failure.retryAfter = limitRetry
	return failure
}

// hostsOfIngresses are the hosts of the operator's Ingresses, with the Leaderboards that
// these belong to.
func (r *LeaderboardReconciler) hostsOfIngresses(ctx context.Context) (map[string]types.UID, error) {
	list := &networkingv1.IngressList{}
	err := r.Client.List(ctx, list, client.UnsafeDisableDeepCopy, client.MatchingLabels{workload.LabelManagedBy: workload.ManagedBy})
	if err != nil {
		return nil, err
	}

	held := map[string]types.UID{}
	for i := range list.Items {
		owner := metav1.GetControllerOf(&list.Items[i])
		if rules := list.Items[i].Spec.Rules; owner != nil && len(rules) > 0 {
			held[rules[0].Host] = owner.UID
		}
	}
	return held, nil
}

// isThere says whether there is a Leaderboard of the UID.
func (r *LeaderboardReconciler) isThere(ctx context.Context, uid types.UID) (bool, error) {
	list := &v1alpha1.LeaderboardList{}
	if err := r.Client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return false, err
	}
	for i := range list.Items {
		if list.Items[i].UID == uid {
			return true, nil
		}
	}
	return false, nil
}
