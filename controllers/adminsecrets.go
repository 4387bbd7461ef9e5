package controllers

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

// adminLogin is what an admin Secret holds.
type adminLogin struct {
	username, password string
	authority          []byte
}

type adminSecrets struct {
	postgres, redis adminLogin
}

// adminSecrets reads the admin Secrets of a class. They are always the
// operator's namespace's: a class cannot name others.
func (s *Stores) adminSecrets(ctx context.Context, class *v1alpha1.LeaderboardClass) (*adminSecrets, error) {
	secrets := &adminSecrets{}
	for _, one := range []struct {
		name  string
		hosts []string
		login *adminLogin
	}{
		{class.Spec.Postgres.AdminSecretRef.Name, []string{class.Spec.Postgres.Host}, &secrets.postgres},
		{class.Spec.Redis.AdminSecretRef.Name, hostsOf(class.Spec.Redis.Endpoints), &secrets.redis},
	} {
		secret := &corev1.Secret{}
		if err := s.live.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: one.name}, secret); err != nil {
			return nil, s.secretError(err, one.name)
		}
		if err := checkHosts(secret, one.hosts); err != nil {
			return nil, err
		}
		for _, key := range []string{corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey} {
			if lineOf(secret, key) == "" {
				return nil, stalledBy("", v1alpha1.ReasonSecretInvalid,
					"The Secret %s in the namespace %s lacks the key %s: give it the administrator's username and password", one.name, s.namespace, key)
			}
		}
		*one.login = adminLogin{username: lineOf(secret, corev1.BasicAuthUsernameKey),
			password: lineOf(secret, corev1.BasicAuthPasswordKey), authority: secret.Data[corev1.ServiceAccountRootCAKey]}
	}

	return secrets, nil
}

// lineOf is a value of a Secret without the end of the line that files have, from which
// kubectl create secret --from-file makes values. No more is taken away than one end.
func lineOf(secret *corev1.Secret, key string) string {
	value, ended := strings.CutSuffix(string(secret.Data[key]), "\n")
	if ended {
		value = strings.TrimSuffix(value, "\r")
	}
	return value
}

// checkHosts refuses hosts to which the Secret's login must not be sent: who writes a
// class chooses where the operator logs in, and need not be trusted with the login.
func checkHosts(secret *corev1.Secret, hosts []string) error {
	named, limited := secret.Annotations[v1alpha1.HostsAnnotation]
	if !limited {
		return nil
	}

	allowed := commaSeparated(named)
	for _, host := range hosts {
		if !slices.Contains(allowed, host) {
			return stalledBy("", v1alpha1.ReasonSecretInvalid,
				"The Secret %s in the namespace %s is for the hosts %q by its annotation %s, and the class leads to %s: nothing was sent there. Set the class's host back, or add it to the annotation",
				secret.Name, secret.Namespace, named, v1alpha1.HostsAnnotation, host)
		}
	}

	return nil
}

func hostsOf(endpoints []string) []string {
	hosts := make([]string, 0, len(endpoints))
	for _, endpoint := range endpoints {
		host, _, err := net.SplitHostPort(endpoint)
		if err != nil {
			host = endpoint // the CRD refuses it; no annotation names it either
		}
		hosts = append(hosts, host)
	}
	return hosts
}

func (s *Stores) secretError(err error, name string) error {
	if apierrors.IsNotFound(err) {
		return stalledBy("", v1alpha1.ReasonSecretNotFound,
			"There is no Secret %s in the namespace %s: create it there with the administrator's username and password", name, s.namespace)
	}
	return failedBy(err, "", v1alpha1.ReasonSecretNotFound, "The Secret %s in the namespace %s could not be read; this is tried again", name, s.namespace)
}

// classFailure words an error in opening connections, which is in the class.
func classFailure(class *v1alpha1.LeaderboardClass, err error) error {
	var known *provision.Error
	if errors.As(err, &known) {
		return asClassError(class, err, v1alpha1.ReasonPostgresUnreachable)
	}
	return failedBy(err, "", v1alpha1.ReasonMisconfigured, "The connections to the stores could not be prepared; this is tried again")
}
