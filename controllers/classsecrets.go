package controllers

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/pem"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

// Keys of an admin Secret of Redis with the login to Sentinels.
const (
	sentinelUsernameKey = "sentinelUsername"
	sentinelPasswordKey = "sentinelPassword"
)

// secretNames are the Secrets that a class refers to.
func secretNames(class *v1alpha1.LeaderboardClass) []string {
	pg, rdb := &class.Spec.Postgres, &class.Spec.Redis
	names := []string{pg.AdminSecretRef.Name, rdb.AdminSecretRef.Name}
	for _, ref := range []*v1alpha1.CASecretReference{pg.CASecretRef, rdb.CASecretRef} {
		if ref != nil {
			names = append(names, ref.Name)
		}
	}
	for _, ref := range []*v1alpha1.SecretReference{pg.ClientCertificateSecretRef, rdb.ClientCertificateSecretRef, rdb.SentinelSecretRef} {
		if ref != nil {
			names = append(names, ref.Name)
		}
	}
	slices.Sort(names)

	return slices.Compact(names)
}

// storeSecrets is what one store of a class refers to.
type storeSecrets struct {
	admin       v1alpha1.AdminSecretReference
	authority   *v1alpha1.CASecretReference
	certificate *v1alpha1.SecretReference
	hosts       []string
}

// clientCertificate is a certificate with its key, also as the PEM that they were read from.
type clientCertificate struct {
	certificate, key []byte
	pair             *tls.Certificate
}

// secret reads a Secret of the operator's namespace.
func (s *Stores) secret(ctx context.Context, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if err := s.live.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, secret); err != nil {
		return nil, s.secretError(err, name)
	}
	return secret, nil
}

// shared reads a Secret whose content games are given. That is its owner's to allow: who
// writes a class could otherwise have any Secret of the operator's namespace copied.
func (s *Stores) shared(ctx context.Context, name string) (*corev1.Secret, error) {
	secret, err := s.secret(ctx, name)
	if err != nil {
		return nil, err
	}
	if secret.Annotations[v1alpha1.ShareAnnotation] != "true" {
		return nil, stalledBy("", v1alpha1.ReasonSecretInvalid,
			"The Secret %s in the namespace %s would be given to the servers of all games of the class, and does not say that it may be: annotate it with %s=true if that is meant",
			name, s.namespace, v1alpha1.ShareAnnotation)
	}
	return secret, nil
}

// authority reads the certificates that the class names, or ca.crt of the admin Secret. Of
// a key that a class chooses nothing but certificates is returned, as games are given it.
func (s *Stores) authority(ctx context.Context, of storeSecrets, admin *corev1.Secret) ([]byte, error) {
	secret, key := admin, v1alpha1.DefaultCAKey
	if of.authority != nil {
		var err error
		if secret, err = s.secret(ctx, of.authority.Name); err != nil {
			return nil, err
		}
		key = cmp.Or(of.authority.Key, key)
	}

	content := secret.Data[key]
	if len(content) == 0 && of.authority == nil {
		return nil, nil
	}
	certificates := certificatesOf(content)
	if len(certificates) == 0 {
		return nil, stalledBy("", v1alpha1.ReasonSecretInvalid,
			"The key %s of the Secret %s in the namespace %s holds no certificate in PEM: put those of the authorities there", key, secret.Name, s.namespace)
	}

	if of.authority == nil {
		return content, nil // as it is written: Pods are replaced when it changes
	}
	return certificates, nil
}

// certificatesOf returns the certificates of a PEM file, without private keys and comments.
func certificatesOf(file []byte) (certificates []byte) {
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certificates = append(certificates, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	return certificates
}

// certificates reads the operator's client certificate and that of games; nil: there is
// none. The operator goes with that of games where it has none of its own.
func (s *Stores) certificates(ctx context.Context, of storeSecrets, admin *corev1.Secret) (own, games *clientCertificate, err error) {
	if of.certificate != nil {
		secret, err := s.shared(ctx, of.certificate.Name)
		if err != nil {
			return nil, nil, err
		}
		if games, err = s.certificate(secret); err != nil {
			return nil, nil, err
		}
	}
	if len(admin.Data[corev1.TLSCertKey]) == 0 && len(admin.Data[corev1.TLSPrivateKeyKey]) == 0 {
		return games, games, nil
	}

	own, err = s.certificate(admin)
	return own, games, err
}

func (s *Stores) certificate(secret *corev1.Secret) (*clientCertificate, error) {
	c := &clientCertificate{certificate: secret.Data[corev1.TLSCertKey], key: secret.Data[corev1.TLSPrivateKeyKey]}
	pair, err := tls.X509KeyPair(c.certificate, c.key)
	if err != nil {
		return nil, stalledBy("", v1alpha1.ReasonSecretInvalid,
			"The Secret %s in the namespace %s has no client certificate: put a certificate and its key, both in PEM, under %s and %s", secret.Name, s.namespace, corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	}
	c.pair = &pair
	return c, nil
}

// tls is the certificate as connections take it; nil: there is none.
func (c *clientCertificate) tls() *tls.Certificate {
	if c == nil {
		return nil
	}
	return c.pair
}

// sentinels reads the logins to Sentinels, the administrator's and that of games.
func (s *Stores) sentinels(ctx context.Context, class *v1alpha1.LeaderboardClass, admin *corev1.Secret) (own, games provision.SentinelLogin, err error) {
	if class.Spec.Redis.Mode != v1alpha1.RedisSentinel {
		return own, games, nil
	}

	if ref := class.Spec.Redis.SentinelSecretRef; ref != nil {
		secret, err := s.shared(ctx, ref.Name)
		if err != nil {
			return own, games, err
		}
		if err := checkHosts(secret, hostsOf(class.Spec.Redis.Endpoints)); err != nil {
			return own, games, err
		}
		games = provision.SentinelLogin{Username: lineOf(secret, corev1.BasicAuthUsernameKey), Password: lineOf(secret, corev1.BasicAuthPasswordKey)}
		if games.Password == "" {
			return own, games, stalledBy("", v1alpha1.ReasonSecretInvalid,
				"The Secret %s in the namespace %s lacks the key %s: give it the password of the Sentinels, and the username where that is not default", ref.Name, s.namespace, corev1.BasicAuthPasswordKey)
		}
	}

	own = provision.SentinelLogin{Username: lineOf(admin, sentinelUsernameKey), Password: lineOf(admin, sentinelPasswordKey)}
	if own == (provision.SentinelLogin{}) {
		own = games
	}

	return own, games, nil
}
