package controllers

import (
	"context"

	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// applyWorkload applies every object of the game's server, and removes the
// optional ones that the spec no longer asks for.
func (r *LeaderboardReconciler) applyWorkload(ctx context.Context, p *pass) error {
	failed := func(err error) error {
		return applyFailure(err, v1alpha1.ConditionWorkloadAvailable, "An object of the workload could not be applied")
	}

	if err := r.prune(ctx, p); err != nil {
		return failed(err)
	}

	setReplicas, err := r.decideReplicas(ctx, p)
	if err != nil {
		return failed(err)
	}

	checksum, err := p.startChecksum()
	if err != nil {
		return failed(err)
	}

	objects, err := workload.Objects(workload.Input{
		Leaderboard: p.lb, Class: p.class, Tenant: p.tenant.ID, KeyPrefix: p.tenant.KeyPrefix(),
		CredentialsChecksum: checksum, SetReplicas: setReplicas,
		PostgresCA: len(p.creds.data[workload.PostgresCAKey]) > 0, RedisCA: len(p.creds.data[workload.RedisCAKey]) > 0,
	})
	if err != nil {
		return failed(err)
	}

	for _, object := range objects {
		generation, err := r.applier.apply(ctx, p.lb.UID, object)
		if err != nil {
			return failed(err)
		}
		if _, is := object.(*appsv1ac.DeploymentApplyConfiguration); is {
			p.deployed = generation
		}
	}

	r.hosts.serve(workload.HostOf(p.lb, p.class), p.lb.UID)
	p.lb.Status.Endpoint = workload.Endpoint(p.lb, p.class)
	return nil
}
