package controllers

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

// adminLogin is what the Secrets of one store hold.
type adminLogin struct {
	username, password string
	authority          []byte
	// certificate is the operator's, and games that of the servers of games; nil: none.
	certificate, games *clientCertificate
}

type adminSecrets struct {
	postgres, redis          adminLogin
	sentinels, gameSentinels provision.SentinelLogin
}

// adminSecrets reads the Secrets of a class. They are always of the operator's
// namespace: a class cannot name others.
func (s *Stores) adminSecrets(ctx context.Context, class *v1alpha1.LeaderboardClass) (*adminSecrets, error) {
	pg, rdb := class.Spec.Postgres, class.Spec.Redis
	secrets := &adminSecrets{}
	var err error
	if secrets.postgres, _, err = s.login(ctx, storeSecrets{pg.AdminSecretRef, pg.CASecretRef, pg.ClientCertificateSecretRef, []string{pg.Host}}); err != nil {
		return nil, err
	}

	var admin *corev1.Secret
	if secrets.redis, admin, err = s.login(ctx, storeSecrets{rdb.AdminSecretRef, rdb.CASecretRef, rdb.ClientCertificateSecretRef, hostsOf(rdb.Endpoints)}); err != nil {
		return nil, err
	}
	if secrets.sentinels, secrets.gameSentinels, err = s.sentinels(ctx, class, admin); err != nil {
		return nil, err
	}

	return secrets, nil
}

// login reads what one store needs, and returns its admin Secret as well.
func (s *Stores) login(ctx context.Context, of storeSecrets) (login adminLogin, admin *corev1.Secret, err error) {
	if admin, err = s.secret(ctx, of.admin.Name); err != nil {
		return login, nil, err
	}
	if err := checkHosts(admin, of.hosts); err != nil {
		return login, nil, err
	}
	if login.username, login.password, err = s.usernameAndPassword(of.admin, admin); err != nil {
		return login, nil, err
	}
	if login.authority, err = s.authority(ctx, of, admin); err != nil {
		return login, nil, err
	}

	login.certificate, login.games, err = s.certificates(ctx, of, admin)
	return login, admin, err
}

// usernameAndPassword reads the login by the keys that the class names. Others than the
// usual ones could be of a Secret that is no login at all, so it has to say where it may go.
func (s *Stores) usernameAndPassword(ref v1alpha1.AdminSecretReference, secret *corev1.Secret) (username, password string, err error) {
	if _, limited := secret.Annotations[v1alpha1.HostsAnnotation]; !limited && (ref.Username != "" || ref.UsernameKey != "" || ref.PasswordKey != "") {
		return "", "", stalledBy("", v1alpha1.ReasonSecretInvalid,
			"The class reads other keys of the Secret %s in the namespace %s than username and password, for which the Secret has to name the hosts that may get them: annotate it with %s",
			secret.Name, s.namespace, v1alpha1.HostsAnnotation)
	}

	read := func(key, usual string) (string, error) {
		key = cmp.Or(key, usual)
		value := lineOf(secret, key)
		if value == "" {
			return "", stalledBy("", v1alpha1.ReasonSecretInvalid,
				"The Secret %s in the namespace %s lacks the key %s: give it the administrator's username and password", secret.Name, s.namespace, key)
		}
		return value, nil
	}

	if username = ref.Username; username == "" {
		if username, err = read(ref.UsernameKey, corev1.BasicAuthUsernameKey); err != nil {
			return "", "", err
		}
	}
	password, err = read(ref.PasswordKey, corev1.BasicAuthPasswordKey)
	return username, password, err
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
			"There is no Secret %s in the namespace %s: create it there with what the class reads of it", name, s.namespace)
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
