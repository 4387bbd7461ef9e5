package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultClassAnnotation makes a LeaderboardClass on which it is "true" the
// class of Leaderboards that name none.
const DefaultClassAnnotation = "games.leaderboard.dev/is-default-class"

// ApproveAnnotation of a LeaderboardClass holds, separated by commas, the changes that
// the platform team has approved: that games go on in another database, or that a
// Leaderboard takes over what was made for another one. The conditions that refuse a
// change say which word approves it.
const ApproveAnnotation = "games.leaderboard.dev/approve"

// RemoveAnnotation of a LeaderboardClass holds, separated by commas, the tenants that
// are to be removed from its stores for good, with all scores: ones that no Leaderboard
// has, retained or left behind.
const RemoveAnnotation = "games.leaderboard.dev/remove"

// HostsAnnotation of an admin Secret holds, separated by commas, the hosts to which its
// login may be sent. Without it, classes may name any.
const HostsAnnotation = "games.leaderboard.dev/hosts"

// ClassFinalizer is on a LeaderboardClass while Leaderboards use it.
const ClassFinalizer = "games.leaderboard.dev/class-in-use"

// DefaultControllerName is the controllerName that the operator answers to
// unless it is configured otherwise.
const DefaultControllerName = "leaderboard.dev/operator"

// NamespacesFrom says which namespaces may use a class.
// +kubebuilder:validation:Enum=All;Selector
type NamespacesFrom string

const (
	// NamespacesFromAll admits every namespace.
	NamespacesFromAll NamespacesFrom = "All"
	// NamespacesFromSelector admits the namespaces that a selector matches.
	NamespacesFromSelector NamespacesFrom = "Selector"
)

// AllowedNamespaces says in which namespaces Leaderboards may use a class.
//
// +kubebuilder:validation:XValidation:rule="has(self.selector) == (self.from == 'Selector')",fieldPath=".selector",message="set selector exactly when from is Selector: set from to Selector, or remove selector"
type AllowedNamespaces struct {
	// from is All or Selector.
	// +optional
	// +default="All"
	From NamespacesFrom `json:"from,omitempty"`

	// selector matches labels of namespaces, where from is Selector.
	// +optional
	// +kubebuilder:validation:XValidation:rule="has(self.matchLabels) || has(self.matchExpressions)",message="set matchLabels or matchExpressions, or set from to All and remove selector"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",fieldPath=".matchExpressions",message="operator must be In or NotIn with values, or Exists or DoesNotExist without"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// SSLMode says how Postgres connections are secured, in libpq's terms:
// https://www.postgresql.org/docs/current/libpq-ssl.html
// +kubebuilder:validation:Enum=disable;require;verify-ca;verify-full
type SSLMode string

const (
	// SSLModeDisable does not encrypt.
	SSLModeDisable SSLMode = "disable"
	// SSLModeRequire encrypts without checking who answers.
	SSLModeRequire SSLMode = "require"
	// SSLModeVerifyCA encrypts and checks the certificate, whatever host it names.
	SSLModeVerifyCA SSLMode = "verify-ca"
	// SSLModeVerifyFull encrypts and checks certificate and host name.
	SSLModeVerifyFull SSLMode = "verify-full"
)

// PostgresSpec says where the ledgers live.
//
// +kubebuilder:validation:XValidation:rule="!has(self.poolerPort) || has(self.poolerHost)",fieldPath=".poolerPort",message="poolerPort is set without poolerHost: set poolerHost to the pooler's host name, or remove poolerPort"
// +kubebuilder:validation:XValidation:rule="!has(self.caSecretRef) || self.sslMode in ['verify-ca', 'verify-full']",fieldPath=".caSecretRef",message="caSecretRef is set, and sslMode checks no certificate: set sslMode to verify-ca or verify-full, or remove caSecretRef"
// +kubebuilder:validation:XValidation:rule="!has(self.clientCertificateSecretRef) || self.sslMode != 'disable'",fieldPath=".clientCertificateSecretRef",message="clientCertificateSecretRef is set, and sslMode is disable: set sslMode to require, verify-ca or verify-full, or remove clientCertificateSecretRef"
type PostgresSpec struct {
	// host name or address of PostgreSQL itself, as both the operator and the
	// servers reach it. Never a connection pooler: see poolerHost.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)$')",message="must be a host name or an address without a port or scheme, for example postgres.databases.svc"
	Host string `json:"host,omitempty"`

	// port of the server.
	// +optional
	// +default=5432
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// poolerHost is the host name or address of a connection pooler in front of
	// that server, for example PgBouncer in transaction or session mode, as the
	// servers of games reach it. They use it for everything but the one connection
	// of each that waits to lead, which goes to host, as the operator does. Left
	// out, every connection goes to host. sslMode and ca.crt count for both.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)$')",message="must be a host name or an address without a port or scheme, for example pgbouncer.databases.svc"
	PoolerHost string `json:"poolerHost,omitempty"`

	// poolerPort is the pooler's port. Left out, 6432.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	PoolerPort int32 `json:"poolerPort,omitempty"`

	// database in which every tenant gets a schema.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*$')",message="must be the name of a database: letters, digits, _, - and ., for example leaderboard"
	Database string `json:"database,omitempty"`

	// sslMode is disable, require, verify-ca (which authority signed the certificate is
	// checked) or verify-full (which host it names, too). Both check against caSecretRef or,
	// without it, the key ca.crt of the admin Secret or, without that, the system's
	// authorities.
	// +optional
	// +default="verify-full"
	SSLMode SSLMode `json:"sslMode,omitempty"`

	// adminSecretRef names the Secret with the admin's username and password, ca.crt where
	// sslMode needs one, and tls.crt and tls.key where PostgreSQL asks for a client
	// certificate.
	// +required
	AdminSecretRef AdminSecretReference `json:"adminSecretRef,omitzero"`

	// caSecretRef names the Secret with the authorities, where that is not the admin Secret.
	// +optional
	CASecretRef *CASecretReference `json:"caSecretRef,omitempty"`

	// clientCertificateSecretRef names a Secret with tls.crt and tls.key, a client
	// certificate for the servers of all games, and for the operator where the admin Secret
	// has none. The Secret has to say games.leaderboard.dev/share-with-games=true.
	// +optional
	ClientCertificateSecretRef *SecretReference `json:"clientCertificateSecretRef,omitempty"`

	// restrictMaintenanceDatabases takes from PUBLIC all rights to the databases postgres and
	// template1 as well, so that no game's login can connect to them. Monitoring that does so
	// by that right needs a grant of its own. Left out, they stay as they are.
	// +optional
	RestrictMaintenanceDatabases bool `json:"restrictMaintenanceDatabases,omitempty"`
}

// DefaultPoolerPort is the port of a pooler where a class names none: PgBouncer's.
const DefaultPoolerPort = 6432

// PoolerPortOrDefault is the port of the pooler, where there is one.
func (p *PostgresSpec) PoolerPortOrDefault() int32 {
	if p.PoolerPort == 0 {
		return DefaultPoolerPort
	}
	return p.PoolerPort
}

// RedisMode is the kind of Redis deployment.
// +kubebuilder:validation:Enum=Standalone;Sentinel;Cluster
type RedisMode string

const (
	// RedisStandalone is one primary at a fixed address.
	RedisStandalone RedisMode = "Standalone"
	// RedisSentinel is a primary found through Sentinels.
	RedisSentinel RedisMode = "Sentinel"
	// RedisCluster is a Redis Cluster.
	RedisCluster RedisMode = "Cluster"
)

// RedisSpec says where the rankings live.
//
// +kubebuilder:validation:XValidation:rule="has(self.masterName) == (self.mode == 'Sentinel')",fieldPath=".masterName",message="set masterName exactly when mode is Sentinel: set it to the name under which the Sentinels know the primary, for example mymaster, or remove it"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Standalone' || self.endpoints.size() == 1",fieldPath=".endpoints",message="a Standalone Redis has exactly one endpoint: list one, or set mode to Sentinel or Cluster"
// +kubebuilder:validation:XValidation:rule="!has(self.sentinelSecretRef) || self.mode == 'Sentinel'",fieldPath=".sentinelSecretRef",message="sentinelSecretRef is set, and mode is not Sentinel: set mode to Sentinel, or remove sentinelSecretRef"
// +kubebuilder:validation:XValidation:rule="(has(self.tls) && self.tls) || (!has(self.serverName) && !has(self.caSecretRef) && !has(self.clientCertificateSecretRef))",fieldPath=".tls",message="serverName, caSecretRef and clientCertificateSecretRef are of TLS: set tls to true, or remove them"
type RedisSpec struct {
	// mode is Standalone, Sentinel or Cluster.
	// +optional
	// +default="Standalone"
	Mode RedisMode `json:"mode,omitempty"`

	// endpoints are host:port of the server, the Sentinels, or some nodes of
	// the cluster.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=259
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[[][0-9a-fA-F:.]+[]]):([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$')",message="must be host:port without a scheme or credentials, for example redis.databases.svc:6379"
	Endpoints []string `json:"endpoints,omitempty"`

	// masterName is the name under which the Sentinels know the primary.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	MasterName string `json:"masterName,omitempty"`

	// tls encrypts connections, those to Sentinels as well; certificates are checked against
	// caSecretRef or, without it, the key ca.crt of the admin Secret or, without that, the
	// system's authorities.
	// +optional
	TLS bool `json:"tls,omitempty"`

	// serverName is the name that the certificates of all nodes and Sentinels have. Left
	// out, each has to name the host by which that node is reached.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)$')",message="must be a host name or an address without a port or scheme, for example redis.databases.svc"
	ServerName string `json:"serverName,omitempty"`

	// adminSecretRef names the Secret with the admin's username and password, ca.crt where
	// TLS needs one, tls.crt and tls.key where Redis asks for a client certificate, and
	// sentinelPassword, with sentinelUsername where it is not default, where Sentinels ask
	// for a login.
	// +required
	AdminSecretRef AdminSecretReference `json:"adminSecretRef,omitzero"`

	// caSecretRef names the Secret with the authorities, where that is not the admin Secret.
	// +optional
	CASecretRef *CASecretReference `json:"caSecretRef,omitempty"`

	// clientCertificateSecretRef names a Secret with tls.crt and tls.key, a client
	// certificate for the servers of all games, and for the operator where the admin Secret
	// has none. The Secret has to say games.leaderboard.dev/share-with-games=true.
	// +optional
	ClientCertificateSecretRef *SecretReference `json:"clientCertificateSecretRef,omitempty"`

	// sentinelSecretRef names a Secret with password, and username where it is not default,
	// with which the servers of all games log in to the Sentinels, and the operator where the
	// admin Secret has no sentinelPassword. The Secret has to say
	// games.leaderboard.dev/share-with-games=true, and its login must not be able to change
	// the Sentinels.
	// +optional
	SentinelSecretRef *SecretReference `json:"sentinelSecretRef,omitempty"`
}

// ClassDefaults are used where a Leaderboard says nothing.
type ClassDefaults struct {
	// replicas of a game's server.
	// +optional
	// +default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Replicas int32 `json:"replicas,omitempty"`

	// resources of each server Pod.
	// +optional
	// +default={"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
	Resources *Resources `json:"resources,omitempty"`
}

// ClassLimits bound what a Leaderboard may ask for.
type ClassLimits struct {
	// maxReplicas of one Leaderboard.
	// +optional
	// +default=20
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// maxBoards of one Leaderboard, without the board global.
	// +optional
	// +default=64
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=64
	MaxBoards *int32 `json:"maxBoards,omitempty"`

	// maxLeaderboards that use this class. Those beyond it are not begun; a lower
	// limit ends none. Left out, there is no limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxLeaderboards *int32 `json:"maxLeaderboards,omitempty"`

	// maxLeaderboardsPerNamespace is that for the Leaderboards of one namespace.
	// +optional
	// +default=200
	// +kubebuilder:validation:Minimum=0
	MaxLeaderboardsPerNamespace *int32 `json:"maxLeaderboardsPerNamespace,omitempty"`

	// maxWebhooks of one Leaderboard; 0: none.
	// +optional
	// +default=8
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=8
	MaxWebhooks *int32 `json:"maxWebhooks,omitempty"`

	// submissionsPerSecond is how many submissions a second one Leaderboard takes, all its Pods
	// together. Those beyond it are answered 429. Left out, there is no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	SubmissionsPerSecond *int32 `json:"submissionsPerSecond,omitempty"`

	// postgresConnections bounds the connections of one tenant to Postgres, all
	// its Pods together. n Pods need 6n at the least: three each, and twice that
	// during a rollout. No tenant gets more than half of those that Postgres accepts
	// (status.postgresConnections).
	// +optional
	// +default=120
	// +kubebuilder:validation:Minimum=6
	// +kubebuilder:validation:Maximum=1000
	PostgresConnections int32 `json:"postgresConnections,omitempty"`
}

// ClassRotation says when the credentials of games are replaced.
type ClassRotation struct {
	// every is how old the logins, signing keys and secrets of service accounts and webhooks of
	// a game get, from 1h to 8760h (a year). Left out, they are replaced on demand only.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1h') && duration(self) <= duration('8760h')",message="must be a duration from 1h to 8760h, for example 720h"
	Every metav1.Duration `json:"every,omitzero"`
}

// ClassWebhooks says where webhooks of games may lead. Left out, to port 443 of public
// addresses, over TLS.
type ClassWebhooks struct {
	// allowHTTP lets URLs begin with http://, without encryption; port 80 has to be in ports.
	// +optional
	AllowHTTP bool `json:"allowHTTP,omitempty"`

	// allowedCIDRs are networks to which messages may go although they are not public, for
	// example 10.20.0.0/16. Everything there that listens on one of the ports can be called by
	// the teams of games.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a network without bits behind its prefix, for example 10.20.0.0/16"
	AllowedCIDRs []string `json:"allowedCIDRs,omitempty"`

	// deniedCIDRs are networks to which no message goes, in allowedCIDRs or public: the address of
	// the cluster's API server, for example.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a network without bits behind its prefix, for example 10.96.0.1/32"
	DeniedCIDRs []string `json:"deniedCIDRs,omitempty"`

	// ports to which messages may go. Left out, 443.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int32 `json:"ports,omitempty"`

	// caBundle are certificates (PEM) of authorities that may have signed those of receivers,
	// besides the system's.
	// +optional
	// +kubebuilder:validation:MaxLength=65536
	CABundle string `json:"caBundle,omitempty"`

	// timeout bounds one attempt to deliver a message, from 1s to 1m. Left out, 10s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1m')",message="must be a duration from 1s to 1m, for example 10s"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// retryFor is for how long a message is tried before it is given up, from 1s to 168h. Left out, 24h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('168h')",message="must be a duration from 1s to 168h, for example 24h"
	RetryFor *metav1.Duration `json:"retryFor,omitempty"`

	// firstRetry is the pause after the first attempt that failed; each is twice the one before, up to an hour, from 10ms to 1h. Left out, 5s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('10ms') && duration(self) <= duration('1h')",message="must be a duration from 10ms to 1h, for example 5s"
	FirstRetry *metav1.Duration `json:"firstRetry,omitempty"`
}

// ClassExposure says how game clients reach the endpoints of a class.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'Ingress' || has(self.domain)",fieldPath=".domain",message="an Ingress needs a domain: set domain, for example games.example.com, or set type to Service"
type ClassExposure struct {
	// type is Ingress or Service.
	// +optional
	// +default="Service"
	Type ExposureType `json:"type,omitempty"`

	// domain under which every Leaderboard gets a host: <name>.<namespace>.<domain>, or what
	// hostTemplate says.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=148
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$')",message="must be a lower-case domain name without a port or a leading dot, for example games.example.com"
	Domain string `json:"domain,omitempty"`

	// hostTemplate is the host of each Leaderboard, made of its {name}, its {namespace} and the
	// {domain}, for example {name}-{namespace}.{domain}, for which one wildcard certificate will
	// do. Of two Leaderboards that would get the same host, the second one gets none. Left out:
	// {name}.{namespace}.{domain}.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9.-]|[{](name|namespace|domain)[}])+$')",message="must be lower-case letters, digits, - and . with {name}, {namespace} and {domain}, for example {name}-{namespace}.{domain}"
	// +kubebuilder:validation:XValidation:rule="self.split('{name}').size() == 2 && self.split('{namespace}').size() == 2",message="must have {name} and {namespace} once each, so that games get hosts of their own, for example {name}-{namespace}.{domain}"
	// +kubebuilder:validation:XValidation:rule="self.endsWith('.{domain}') && self.split('{domain}').size() == 2",message="must end in .{domain}, and have it once: the hosts under the domain are the class's, for example {name}-{namespace}.{domain}"
	// +kubebuilder:validation:XValidation:rule="!self.contains('}{')",message="put - or . between {name} and {namespace}: without, ab and c get the host of a and bc"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('.') && !self.startsWith('-') && !self.contains('..') && !self.contains('.-') && !self.contains('-.')",message="must not have empty labels, or ones that begin or end with -: for example {name}-{namespace}.{domain}"
	HostTemplate string `json:"hostTemplate,omitempty"`

	// trustedProxies are the networks of all proxies between clients and Pods, from what
	// connects to Pods, such as the Pods of the ingress controller, outward: X-Forwarded-For is
	// read from its right end until an address that is in none of them, which is the client.
	// Left out, with Ingress, one proxy at a private address is trusted.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a network without bits behind its prefix, for example 10.244.0.0/16"
	TrustedProxies []string `json:"trustedProxies,omitempty"`

	// port that clients use where it is not the scheme's own; it appears in the
	// endpoint only.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// ingressClassName of the Ingresses. Left out, the cluster's default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="must be the name of an IngressClass: lower-case letters, digits, - and ., for example nginx"
	IngressClassName *string `json:"ingressClassName,omitempty"`

	// tlsSecretName names, in every game's namespace, the Secret with the
	// certificate of the Ingress (cert-manager can make it); set, the endpoint
	// is https. {name} in it stands for the game's name, for a certificate of each
	// game: where several of a namespace have one Secret, cert-manager issues it for
	// each of them in turn.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]|[{]name[}])(([a-z0-9.-]|[{]name[}])*([a-z0-9]|[{]name[}]))?$')",message="must be the name of a Secret without a namespace: lower-case letters, digits, - and ., for example games-tls, or {name}-tls for one of each game"
	TLSSecretName *string `json:"tlsSecretName,omitempty"`

	// service is the Service of each game, whatever the type.
	// +optional
	Service ClassService `json:"service,omitzero"`

	// annotations of the Ingresses, for the ingress controller.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ServiceAccountIssuer is the cluster as the issuer of tokens of ServiceAccounts.
type ServiceAccountIssuer struct {
	// issuer is what the tokens have as iss. Left out, what the API server says by
	// discovery, whose keys verify them in either case.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Issuer string `json:"issuer,omitempty"`

	// audience is what they have as aud. It must not be that of the API server: a game
	// could use a Pod's token elsewhere.
	// +optional
	// +default="leaderboard"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Audience string `json:"audience,omitempty"`
}

// LeaderboardClassSpec says where and how tenants run.
//
// +kubebuilder:validation:XValidation:rule="self.defaults.replicas <= self.limits.maxReplicas",fieldPath=".defaults.replicas",message="defaults.replicas must not be greater than limits.maxReplicas: lower one or raise the other"
type LeaderboardClassSpec struct {
	// controllerName is the operator that serves this class.
	// +optional
	// +default="leaderboard.dev/operator"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="controllerName cannot be changed: create another class instead"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9.-]+/[A-Za-z0-9._/-]+$')",message="must be a domain and a path, for example leaderboard.dev/operator"
	ControllerName string `json:"controllerName,omitempty"`

	// allowedNamespaces says in which namespaces Leaderboards may use this class.
	// +optional
	// +default={"from": "All"}
	AllowedNamespaces AllowedNamespaces `json:"allowedNamespaces,omitzero"`

	// postgres says where the ledgers live.
	// +required
	Postgres PostgresSpec `json:"postgres,omitzero"`

	// redis says where the rankings live.
	// +required
	Redis RedisSpec `json:"redis,omitzero"`

	// image of leaderboard-server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+(([._/]|__|-+)[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$')",message="must be an image reference without a scheme, for example registry.example.com/leaderboard-server:v1.2.3"
	Image string `json:"image,omitempty"`

	// imagePullPolicy of the image. Left out, Kubernetes decides by the tag.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// defaults are used where a Leaderboard says nothing.
	// +optional
	// +default={}
	Defaults ClassDefaults `json:"defaults,omitzero"`

	// limits bound what a Leaderboard may ask for.
	// +optional
	// +default={}
	Limits ClassLimits `json:"limits,omitzero"`

	// allowInsecureIssuers lets games name issuers of players without TLS, for tests:
	// whoever is between them and the game can be any player.
	// +optional
	AllowInsecureIssuers bool `json:"allowInsecureIssuers,omitempty"`

	// serviceAccountIssuer lets Pods log in to games with the tokens of their
	// ServiceAccounts. Left out, they do not.
	// +optional
	ServiceAccountIssuer *ServiceAccountIssuer `json:"serviceAccountIssuer,omitempty"`

	// pods are the Pods of all games, and what a game may say of its own.
	// +optional
	Pods ClassPods `json:"pods,omitzero"`

	// objects is what every object of a game has, its Pods too.
	// +optional
	Objects ObjectMetadata `json:"objects,omitzero"`

	// server are settings of the servers of all games.
	// +optional
	Server ClassServer `json:"server,omitzero"`

	// rotation says when the credentials of games are replaced.
	// +optional
	Rotation ClassRotation `json:"rotation,omitzero"`

	// webhooks says where webhooks of games may lead.
	// +optional
	Webhooks ClassWebhooks `json:"webhooks,omitzero"`

	// networkPolicy is what Pods may be reached from and may reach, next to what they need.
	// +optional
	NetworkPolicy ClassNetworkPolicy `json:"networkPolicy,omitzero"`

	// exposure says how game clients reach the endpoints.
	// +optional
	// +default={"type": "Service"}
	Exposure ClassExposure `json:"exposure,omitzero"`
}

// Placement is where data is, as the stores identify themselves: an address may lead
// to another server tomorrow.
type Placement struct {
	// postgresServer is PostgreSQL's system identifier, which initdb makes and
	// physical copies keep.
	// +optional
	PostgresServer string `json:"postgresServer,omitempty"`

	// postgresDatabase is the oid of the database.
	// +optional
	PostgresDatabase int64 `json:"postgresDatabase,omitempty"`

	// redis is the identity that the operator gave to the Redis deployment.
	// +optional
	Redis string `json:"redis,omitempty"`

	// namespaceUID is that of the namespace of the Leaderboard; a class has none.
	// +optional
	NamespaceUID string `json:"namespaceUID,omitempty"`
}

// LeaderboardClassStatus is what the operator has seen.
type LeaderboardClassStatus struct {
	// conditions are Ready, Accepted, Reachable and IngressServed, and Reconciling and Stalled
	// while they are true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +default=[{"type": "Ready", "status": "Unknown", "reason": "Pending", "message": "Waiting for the operator", "lastTransitionTime": "1970-01-01T00:00:00Z"}, {"type": "Accepted", "status": "Unknown", "reason": "Pending", "message": "Waiting for the operator", "lastTransitionTime": "1970-01-01T00:00:00Z"}, {"type": "Reachable", "status": "Unknown", "reason": "Pending", "message": "Waiting for the operator", "lastTransitionTime": "1970-01-01T00:00:00Z"}]
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the operator has
	// looked at last.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// operatorNamespace is the namespace of the operator that serves the class. Another one
	// with the same controllerName leaves the class and its games alone.
	// +optional
	OperatorNamespace string `json:"operatorNamespace,omitempty"`

	// reachedGeneration is the generation of the spec with which both stores answered
	// last. Before they have, games are not changed for it.
	// +optional
	ReachedGeneration int64 `json:"reachedGeneration,omitempty"`

	// leaderboards is how many Leaderboards use this class.
	// +optional
	Leaderboards int32 `json:"leaderboards"`

	// placement is which stores the class leads to. An edit that leads to others is
	// refused until it is approved.
	// +optional
	Placement *Placement `json:"placement,omitempty"`

	// redisAddress is where placement.redis was found. A Redis that has another
	// identity at the same address was emptied, which changes nothing.
	// +optional
	RedisAddress string `json:"redisAddress,omitempty"`

	// retained is how many deleted Leaderboards of this cluster have their scores kept.
	// +optional
	Retained int32 `json:"retained,omitempty"`

	// orphans are the tenants of this cluster that the stores hold and no Leaderboard has,
	// without those that are retained, and what is there of each; 50 at the most.
	// +optional
	// +listType=atomic
	Orphans []string `json:"orphans,omitempty"`

	// postgresConnections is how many connections Postgres accepts from all games
	// together: max_connections without those that are reserved and the operator's.
	// +optional
	PostgresConnections int32 `json:"postgresConnections,omitempty"`

	// postgresVersion that answered last.
	// +optional
	PostgresVersion string `json:"postgresVersion,omitempty"`

	// redisVersion that answered last.
	// +optional
	RedisVersion string `json:"redisVersion,omitempty"`
}

// LeaderboardClass says where and how the Leaderboards that name it run.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=lbc,categories=games
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Reachable",type=string,JSONPath=`.status.conditions[?(@.type=="Reachable")].status`
// +kubebuilder:printcolumn:name="Leaderboards",type=integer,JSONPath=`.status.leaderboards`
// +kubebuilder:printcolumn:name="Default",type=string,JSONPath=`.metadata.annotations.games\.leaderboard\.dev/is-default-class`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Postgres",type=string,JSONPath=`.status.postgresVersion`,priority=1
// +kubebuilder:printcolumn:name="Redis",type=string,JSONPath=`.status.redisVersion`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",fieldPath=".metadata",message="metadata.name must be at most 63 characters"
type LeaderboardClass struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says where and how tenants run.
	// +required
	Spec LeaderboardClassSpec `json:"spec,omitzero"`

	// status is what the operator has seen.
	// +optional
	// +default={}
	Status LeaderboardClassStatus `json:"status,omitzero"`
}

// LeaderboardClassList is a list of LeaderboardClasses.
//
// +kubebuilder:object:root=true
type LeaderboardClassList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []LeaderboardClass `json:"items"`
}
