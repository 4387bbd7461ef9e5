package workload_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// What a class gives to games for its stores reaches the server: client certificates as
// files, of which each one that the environment names is mounted, and the login to Sentinels.
func TestCertificatesAndSentinelsReachTheServer(t *testing.T) {
	in := input(func(in *workload.Input) {
		certificate := &v1alpha1.SecretReference{Name: "client"}
		in.Class.Spec.Postgres.ClientCertificateSecretRef = certificate
		in.Class.Spec.Redis = v1alpha1.RedisSpec{Mode: v1alpha1.RedisSentinel, MasterName: "m", Endpoints: []string{"sentinel:26379"}, TLS: true,
			ServerName: "redis.example.com", ClientCertificateSecretRef: certificate, SentinelSecretRef: &v1alpha1.SecretReference{Name: "sentinels"}}
		in.PostgresCA, in.RedisCA = true, true
	})
	objects, err := workload.Objects(in)
	require.NoError(t, err)

	for _, object := range objects {
		deployment, is := object.(*appsv1ac.DeploymentApplyConfiguration)
		if !is {
			continue
		}

		pod := deployment.Spec.Template.Spec
		values, keys := map[string]string{}, map[string]string{}
		for _, variable := range pod.Containers[0].Env {
			if variable.Value != nil {
				values[*variable.Name] = *variable.Value
			} else {
				keys[*variable.Name] = *variable.ValueFrom.SecretKeyRef.Key
			}
		}
		require.Equal(t, "redis.example.com", values[config.EnvRedisServerName])
		require.Equal(t, workload.SentinelUsernameKey, keys[config.EnvRedisSentinelUsername])
		require.Equal(t, workload.SentinelPasswordKey, keys[config.EnvRedisSentinelPassword])

		mounts, files := map[string]string{}, []string{workload.PostgresCAPath, workload.PostgresCertPath, workload.PostgresKeyPath,
			values[config.EnvRedisCAFile], values[config.EnvRedisCertFile], values[config.EnvRedisKeyFile]}
		for _, mount := range pod.Containers[0].VolumeMounts {
			mounts[*mount.Name] = *mount.MountPath
		}
		var mounted []string
		for _, volume := range pod.Volumes {
			if *volume.Name != "authorities" {
				continue
			}
			for _, item := range volume.Secret.Items {
				mounted = append(mounted, mounts["authorities"]+"/"+*item.Path)
			}
		}
		require.ElementsMatch(t, files, mounted)
		return
	}
	require.Fail(t, "there is no Deployment")
}
