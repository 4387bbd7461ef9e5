package v1alpha1_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// validClass has what a class must have and nothing else. The cases replace
// whole fields of its spec.
const validClass = `
postgres: {host: postgres.databases.svc, database: leaderboard, adminSecretRef: {name: postgres-admin}}
redis: {endpoints: ["redis.databases.svc:6379"], adminSecretRef: {name: redis-admin}}
image: leaderboard-server:v1
`

// classSpec is validClass with the fields of changes in place of its own; null
// removes one.
func classSpec(t *testing.T, changes string) string {
	t.Helper()
	var spec, changed map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(validClass), &spec))
	require.NoError(t, yaml.Unmarshal([]byte(changes), &changed), changes)
	maps.Copy(spec, changed)
	maps.DeleteFunc(spec, func(_ string, value any) bool { return value == nil })
	text, err := yaml.Marshal(spec)
	require.NoError(t, err)

	return string(text)
}

// withAdmin is a store with the fields, and an admin Secret unless they name one.
func withAdmin(store, more, fields string) string {
	if !strings.Contains(fields, "adminSecretRef") {
		more += "adminSecretRef: {name: " + store + "-admin}, "
	}
	return "{" + store + ": {" + more + fields + "}}"
}

func postgresWith(fields string) string {
	return withAdmin("postgres", "database: leaderboard, ", fields)
}

func redisWith(fields string) string {
	return withAdmin("redis", "", fields)
}

var classRefusals = []refusal{
	{"no postgres", `{postgres: null}`, "spec.postgres", "Required value"},
	{"no redis", `{redis: null}`, "spec.redis", "Required value"},
	{"no image", `{image: null}`, "spec.image", "Required value"},
	{"no host", postgresWith(`port: 5432`), "spec.postgres.host", "Required value"},
	{"no database", `{postgres: {host: pg, adminSecretRef: {name: a}}}`, "spec.postgres.database", "Required value"},
	{"no admin Secret of Postgres", `{postgres: {host: pg, database: d}}`, "spec.postgres.adminSecretRef", "Required value"},
	{"no admin Secret of Redis", `{redis: {endpoints: ["redis:6379"]}}`, "spec.redis.adminSecretRef", "Required value"},
	{"admin Secret without a name", `{redis: {endpoints: ["redis:6379"], adminSecretRef: {}}}`, "spec.redis.adminSecretRef.name", "Required value"},
	{"admin Secret of another namespace", `{redis: {endpoints: ["redis:6379"], adminSecretRef: {name: kube-system/token}}}`,
		"spec.redis.adminSecretRef.name", "in the operator's namespace, without a namespace"},

	{"admin's name and its key", postgresWith(`host: pg, adminSecretRef: {name: a, username: b, usernameKey: c}`), "spec.postgres.adminSecretRef.username", "not both"},
	{"key that no Secret has", redisWith(`endpoints: ["redis:6379"], adminSecretRef: {name: a, passwordKey: "a/b"}`), "spec.redis.adminSecretRef.passwordKey", "must be a key of a Secret"},
	{"authority that nothing is checked against", postgresWith(`host: pg, sslMode: require, caSecretRef: {name: a}`), "spec.postgres.caSecretRef", "verify-ca or verify-full"},
	{"authority of another namespace", postgresWith(`host: pg, caSecretRef: {name: a/b}`), "spec.postgres.caSecretRef.name", "without a namespace"},
	{"certificate without TLS", postgresWith(`host: pg, sslMode: disable, clientCertificateSecretRef: {name: a}`), "spec.postgres.clientCertificateSecretRef", "sslMode is disable"},
	{"certificate without TLS of Redis", redisWith(`endpoints: ["redis:6379"], clientCertificateSecretRef: {name: a}`), "spec.redis.tls", "set tls to true"},
	{"server name without TLS", redisWith(`endpoints: ["redis:6379"], tls: false, serverName: redis`), "spec.redis.tls", "set tls to true"},
	{"server name with a port", redisWith(`endpoints: ["redis:6379"], tls: true, serverName: "redis:6379"`), "spec.redis.serverName", "without a port or scheme"},
	{"login to Sentinels without them", redisWith(`endpoints: ["redis:6379"], sentinelSecretRef: {name: a}`), "spec.redis.sentinelSecretRef", "mode is not Sentinel"},

	{"host with a port", postgresWith(`host: "pg:5432/leaderboard"`), "spec.postgres.host", "without a port or scheme"},
	{"host with a port alone", postgresWith(`host: "pg:5432"`), "spec.postgres.host", "without a port or scheme"},
	{"host with a scheme", postgresWith(`host: "postgres://pg"`), "spec.postgres.host", "without a port or scheme"},
	{"host with credentials", postgresWith(`host: "admin@pg"`), "spec.postgres.host", "must be a host name or an address"},
	{"several hosts", postgresWith(`host: "a,b"`), "spec.postgres.host", "must be a host name or an address"},
	{"empty host", postgresWith(`host: ""`), "spec.postgres.host", "at least 1 chars long"},
	{"port zero", postgresWith(`host: pg, port: 0`), "spec.postgres.port", "should be greater than or equal to 1"},
	{"port that is none", postgresWith(`host: pg, port: 65536`), "spec.postgres.port", "should be less than or equal to 65535"},
	{"pooler's port without its host", postgresWith(`host: pg, poolerPort: 6432`), "spec.postgres.poolerPort", "set poolerHost to the pooler's host name"},
	{"pooler with a port", postgresWith(`host: pg, poolerHost: "pgbouncer:6432"`), "spec.postgres.poolerHost", "without a port or scheme"},
	{"pooler's port that is none", postgresWith(`host: pg, poolerHost: pgbouncer, poolerPort: 65536`), "spec.postgres.poolerPort", "should be less than or equal to 65535"},
	{"database with a parameter", `{postgres: {host: pg, database: "d?sslmode=disable", adminSecretRef: {name: a}}}`,
		"spec.postgres.database", "must be the name of a database"},
	{"sslMode that can be stripped", postgresWith(`host: pg, sslMode: prefer`), "spec.postgres.sslMode", `supported values: "disable", "require", "verify-ca", "verify-full"`},

	{"unknown mode", redisWith(`mode: Replica, endpoints: ["redis:6379"]`), "spec.redis.mode", `supported values: "Standalone", "Sentinel", "Cluster"`},
	{"no endpoints", redisWith(`mode: Cluster`), "spec.redis.endpoints", "Required value"},
	{"an empty list of endpoints", redisWith(`mode: Cluster, endpoints: []`), "spec.redis.endpoints", "at least 1 items"},
	{"two endpoints of one server", redisWith(`endpoints: ["a:6379", "b:6379"]`), "spec.redis.endpoints", "set mode to Sentinel or Cluster"},
	{"one endpoint twice", redisWith(`mode: Cluster, endpoints: ["a:6379", "a:6379"]`), "spec.redis.endpoints[1]", "Duplicate value"},
	{"endpoint without a port", redisWith(`endpoints: ["redis"]`), "spec.redis.endpoints[0]", "must be host:port"},
	{"endpoint with a scheme", redisWith(`endpoints: ["redis://redis:6379"]`), "spec.redis.endpoints[0]", "without a scheme"},
	{"endpoint with credentials", redisWith(`endpoints: ["admin:secret@redis:6379"]`), "spec.redis.endpoints[0]", "without a scheme or credentials"},
	{"endpoint with a port that is none", redisWith(`mode: Cluster, endpoints: ["a:6379", "b:65536"]`), "spec.redis.endpoints[1]", "must be host:port"},
	{"endpoint with port zero", redisWith(`endpoints: ["redis:0"]`), "spec.redis.endpoints[0]", "must be host:port"},
	{"IPv6 endpoint without brackets", redisWith(`endpoints: ["fd00::1:6379"]`), "spec.redis.endpoints[0]", "must be host:port"},
	{"Sentinel without masterName", redisWith(`mode: Sentinel, endpoints: ["a:26379"]`), "spec.redis.masterName", "for example mymaster"},
	{"masterName without Sentinel", redisWith(`masterName: mymaster, endpoints: ["a:6379"]`), "spec.redis.masterName", "or remove it"},

	{"selector without from", `{allowedNamespaces: {selector: {matchLabels: {a: b}}}}`, "spec.allowedNamespaces.selector", "set from to Selector"},
	{"from without selector", `{allowedNamespaces: {from: Selector}}`, "spec.allowedNamespaces.selector", "set selector exactly when from is Selector"},
	{"unknown from", `{allowedNamespaces: {from: Same}}`, "spec.allowedNamespaces.from", `supported values: "All", "Selector"`},
	{"empty selector", `{allowedNamespaces: {from: Selector, selector: {}}}`, "spec.allowedNamespaces.selector", "set from to All and remove selector"},
	{"selector with an unknown operator", `{allowedNamespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: Is, values: [b]}]}}}`,
		"spec.allowedNamespaces.selector.matchExpressions", "operator must be In or NotIn with values"},
	{"selector In nothing", `{allowedNamespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: In}]}}}`,
		"spec.allowedNamespaces.selector.matchExpressions", "operator must be In or NotIn with values"},
	{"selector Exists with values", `{allowedNamespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}}`,
		"spec.allowedNamespaces.selector.matchExpressions", "Exists or DoesNotExist without"},

	{"rotation of minutes", `{rotation: {every: 30m}}`, "spec.rotation.every", "must be a duration from 1h to 8760h"},
	{"rotation of days", `{rotation: {every: 30d}}`, "spec.rotation.every", "must be a duration from 1h to 8760h"},
	{"fewer than no Leaderboards", `{limits: {maxLeaderboards: -1}}`, "spec.limits.maxLeaderboards", "should be greater than or equal to 0"},

	{"no submission a second", `{limits: {submissionsPerSecond: 0}}`, "spec.limits.submissionsPerSecond", "should be greater than or equal to 1"},
	{"too many submissions a second", `{limits: {submissionsPerSecond: 1000001}}`, "spec.limits.submissionsPerSecond", "should be less than or equal to 1000000"},
	{"negative maxWebhooks", `{limits: {maxWebhooks: -1}}`, "spec.limits.maxWebhooks", "should be greater than or equal to 0"},
	{"more webhooks than there can be", `{limits: {maxWebhooks: 9}}`, "spec.limits.maxWebhooks", "should be less than or equal to 8"},
	{"webhooks to what is no network", `{webhooks: {allowedCIDRs: [10.20.0.0]}}`, "spec.webhooks.allowedCIDRs[0]", "for example 10.20.0.0/16"},
	{"webhooks to a network with further bits", `{webhooks: {allowedCIDRs: [10.20.0.1/16]}}`, "spec.webhooks.allowedCIDRs[0]", "without bits behind its prefix"},
	{"webhooks not to what is no network", `{webhooks: {deniedCIDRs: [example.com]}}`, "spec.webhooks.deniedCIDRs[0]", "for example 10.96.0.1/32"},
	{"webhooks to no port", `{webhooks: {ports: []}}`, "spec.webhooks.ports", "at least 1 items"},
	{"webhooks to a port that is none", `{webhooks: {ports: [65536]}}`, "spec.webhooks.ports[0]", "should be less than or equal to 65535"},

	{"image with a space", `{image: "leaderboard-server v1"}`, "spec.image", "must be an image reference"},
	{"image with a scheme", `{image: "https://registry.example.com/leaderboard-server"}`, "spec.image", "without a scheme"},
	{"image in capitals", `{image: "Leaderboard-Server:v1"}`, "spec.image", "must be an image reference"},
	{"image with an empty tag", `{image: "leaderboard-server:"}`, "spec.image", "must be an image reference"},
	{"unknown pull policy", `{imagePullPolicy: Sometimes}`, "spec.imagePullPolicy", `supported values: "Always", "IfNotPresent", "Never"`},

	{"Ingress without a domain", `{exposure: {type: Ingress}}`, "spec.exposure.domain", "set domain, for example games.example.com"},
	{"domain with a dot in front", `{exposure: {type: Ingress, domain: .games.example.com}}`, "spec.exposure.domain", "without a port or a leading dot"},
	{"domain with a port", `{exposure: {type: Ingress, domain: "localhost:8088"}}`, "spec.exposure.domain", "without a port or a leading dot"},
	{"domain in capitals", `{exposure: {type: Ingress, domain: Games.example.com}}`, "spec.exposure.domain", "lower-case domain name"},
	{"domain with a long label", `{exposure: {domain: ` + strings.Repeat("d", 64) + `.com}}`, "spec.exposure.domain", "lower-case domain name"},
	{"domain past what a host name holds", `{exposure: {domain: ` + strings.Repeat("d.", 74) + `d}}`, "spec.exposure.domain", "may not be more than 148"},
	{"unknown exposure", `{exposure: {type: NodePort}}`, "spec.exposure.type", `supported values: "Ingress", "Service"`},
	{"hosts without the name", `{exposure: {domain: d, hostTemplate: "{namespace}.{domain}"}}`, "spec.exposure.hostTemplate", "have {name} and {namespace} once each"},
	{"hosts without the namespace", `{exposure: {domain: d, hostTemplate: "{name}.{domain}"}}`, "spec.exposure.hostTemplate", "have {name} and {namespace} once each"},
	{"hosts with the name twice", `{exposure: {domain: d, hostTemplate: "{name}-{namespace}-{name}.{domain}"}}`, "spec.exposure.hostTemplate", "have {name} and {namespace} once each"},
	{"hosts that run into each other", `{exposure: {domain: d, hostTemplate: "{name}{namespace}.{domain}"}}`, "spec.exposure.hostTemplate", "put - or . between"},
	{"hosts of another domain", `{exposure: {domain: d, hostTemplate: "{name}-{namespace}.example.com"}}`, "spec.exposure.hostTemplate", "must end in .{domain}"},
	{"hosts next to a domain", `{exposure: {domain: d, hostTemplate: "{name}-{namespace}-{domain}"}}`, "spec.exposure.hostTemplate", "must end in .{domain}"},
	{"hosts of what there is not", `{exposure: {domain: d, hostTemplate: "{name}-{namespace}-{class}.{domain}"}}`, "spec.exposure.hostTemplate", "must be lower-case letters"},
	{"hosts in capitals", `{exposure: {domain: d, hostTemplate: "G-{name}-{namespace}.{domain}"}}`, "spec.exposure.hostTemplate", "must be lower-case letters"},
	{"hosts with an empty label", `{exposure: {domain: d, hostTemplate: "{name}..{namespace}.{domain}"}}`, "spec.exposure.hostTemplate", "must not have empty labels"},
	{"hosts with a label that ends with -", `{exposure: {domain: d, hostTemplate: "{name}-.{namespace}.{domain}"}}`, "spec.exposure.hostTemplate", "must not have empty labels"},
	{"a proxy that is no network", `{exposure: {trustedProxies: [10.0.0.1]}}`, "spec.exposure.trustedProxies[0]", "for example 10.244.0.0/16"},
	{"proxies with further bits", `{exposure: {trustedProxies: [10.0.0.1/8]}}`, "spec.exposure.trustedProxies[0]", "without bits behind its prefix"},
	{"TLS Secret of what there is not", `{exposure: {tlsSecretName: "{namespace}-tls"}}`, "spec.exposure.tlsSecretName", "{name}-tls for one of each game"},
	{"a way from everywhere to everything", `{networkPolicy: {ingressFrom: [{}]}}`, "spec.networkPolicy.ingressFrom[0]", "would open everything"},
	{"a peer that is nobody", `{networkPolicy: {clients: [{}]}}`, "spec.networkPolicy.clients[0]", "set either cidr, or podSelector"},
	{"a peer that is two", `{networkPolicy: {egressTo: [{peers: [{cidr: 10.0.0.0/8, podSelector: {}}]}]}}`, "spec.networkPolicy.egressTo[0].peers[0]", "set either cidr, or podSelector"},
	{"an exception of nothing", `{networkPolicy: {clients: [{podSelector: {}, except: [10.0.0.0/8]}]}}`, "spec.networkPolicy.clients[0].except", "set cidr, or remove except"},
	{"a peer that is no network", `{networkPolicy: {clients: [{cidr: 10.0.0.1/8}]}}`, "spec.networkPolicy.clients[0].cidr", "without bits behind its prefix"},
	{"ports the wrong way round", `{networkPolicy: {egressTo: [{ports: [{port: 9, endPort: 8}]}]}}`, "spec.networkPolicy.egressTo[0].ports[0].endPort", "must not be less than port"},
	{"DNS nowhere", `{networkPolicy: {dnsPorts: []}}`, "spec.networkPolicy.dnsPorts", "at least 1 items"},
	{"rules of no policy", `{networkPolicy: {enabled: false, dnsPorts: [5353]}}`, "spec.networkPolicy.enabled", "set enabled to true"},
	{"a Service elsewhere", `{exposure: {service: {type: ExternalName}}}`, "spec.exposure.service.type", `supported values: "ClusterIP", "LoadBalancer", "NodePort"`},
	{"traffic from outside to what is inside", `{exposure: {service: {externalTrafficPolicy: Local}}}`, "spec.exposure.service.type", "set type to LoadBalancer"},
	{"a balancer of ports of nodes", `{exposure: {service: {type: NodePort, loadBalancerClass: a/b}}}`, "spec.exposure.service.type", "set type to LoadBalancer"},
	{"a third family", `{exposure: {service: {ipFamilies: [IPv4, IPv6, IPv4]}}}`, "spec.exposure.service.ipFamilies", "must have at most 2 items"},
	{"ingress class with a slash", `{exposure: {ingressClassName: a/b}}`, "spec.exposure.ingressClassName", "must be the name of an IngressClass"},
	{"TLS Secret with a namespace", `{exposure: {tlsSecretName: certs/games}}`, "spec.exposure.tlsSecretName", "without a namespace"},

	{"a rate of nothing", `{server: {rates: {loginPerClient: 0/s burst 1}}}`, "spec.server.rates.loginPerClient", "for example 10/s burst 100, or off"},
	{"a rate without a burst", `{server: {rates: {reportPerPlayer: 2/s}}}`, "spec.server.rates.reportPerPlayer", "how many at once"},
	{"a long request", `{server: {requestTimeout: 11m}}`, "spec.server.requestTimeout", "from 1s to 10m"},
	{"a log of another kind", `{server: {logFormat: xml}}`, "spec.server.logFormat", "supported values: "},
	{"no body at all", `{server: {bodyBudgetBytes: 1}}`, "spec.server.bodyBudgetBytes", "greater than or equal to 65536"},
	{"messages for ever", `{webhooks: {retryFor: 169h}}`, "spec.webhooks.retryFor", "from 1s to 168h"},
	{"no replicas by default", `{defaults: {replicas: 0}}`, "spec.defaults.replicas", "should be greater than or equal to 1"},
	{"more by default than allowed", `{defaults: {replicas: 5}, limits: {maxReplicas: 4}}`, "spec.defaults.replicas", "must not be greater than limits.maxReplicas"},
	{"resources of another kind", `{defaults: {resources: {limits: {hugepages-2Mi: 4Mi}}}}`, "spec.defaults.resources.limits", "only cpu and memory"},
	{"maxReplicas over what a Leaderboard may have", `{limits: {maxReplicas: 101}}`, "spec.limits.maxReplicas", "should be less than or equal to 100"},
	{"negative maxBoards", `{limits: {maxBoards: -1}}`, "spec.limits.maxBoards", "should be greater than or equal to 0"},
	{"too few connections for one Pod", `{limits: {postgresConnections: 5}}`, "spec.limits.postgresConnections", "should be greater than or equal to 6"},
	{"controllerName without a path", `{controllerName: operator}`, "spec.controllerName", "must be a domain and a path"},
}

func TestClassRefused(t *testing.T) {
	for _, test := range classRefusals {
		t.Run(test.name, func(t *testing.T) {
			err := cluster.Create(timeout(t), parse(t, "LeaderboardClass", "class", classSpec(t, test.spec)))
			requireRefused(t, err, test.field, test.message)
		})
	}

	t.Run("no spec", func(t *testing.T) {
		err := cluster.Create(timeout(t), parse(t, "LeaderboardClass", "class", ""))
		requireRefused(t, err, "spec", "Required value")
	})

	t.Run("long name", func(t *testing.T) {
		err := cluster.Create(timeout(t), parse(t, "LeaderboardClass", strings.Repeat("c", 64), validClass))
		requireRefused(t, err, "metadata", "metadata.name must be at most 63 characters")
	})
}

func TestClassChangeRefused(t *testing.T) {
	object := parse(t, "LeaderboardClass", "change", validClass)
	create(t, object)
	changed := parse(t, "LeaderboardClass", "change", classSpec(t, `{controllerName: example.com/other}`))
	changed.SetResourceVersion(object.GetResourceVersion())
	requireRefused(t, cluster.Update(timeout(t), changed), "spec.controllerName", "create another class instead")
}

func TestClassesAccepted(t *testing.T) {
	for _, changes := range []string{
		`{}`,
		postgresWith(`host: "fd00::1", port: 6432, sslMode: disable`),
		postgresWith(`host: 10.0.0.1, sslMode: require`),
		postgresWith(`host: p, poolerHost: "::1", poolerPort: 1`),
		postgresWith(`host: pg.databases.svc, poolerHost: pgbouncer.databases.svc`),
		redisWith(`mode: Cluster, tls: true, endpoints: ["a:6379", "10.0.0.1:65535", "[fd00::1]:1"]`),
		postgresWith(`host: pg, sslMode: verify-ca, caSecretRef: {name: ca, key: bundle.pem}, clientCertificateSecretRef: {name: client}, restrictMaintenanceDatabases: true`),
		postgresWith(`host: pg, adminSecretRef: {name: a, usernameKey: user, passwordKey: POSTGRES_PASSWORD}`),
		redisWith(`mode: Sentinel, masterName: m, endpoints: ["a:26379"], tls: true, serverName: redis, adminSecretRef: {name: a, username: default}, caSecretRef: {name: ca}, clientCertificateSecretRef: {name: client}, sentinelSecretRef: {name: sentinels}`),
		redisWith(`mode: Sentinel, masterName: mymaster, endpoints: ["a:26379", "b:26379", "c.redis.svc.cluster.local:26379"]`),
		`{allowedNamespaces: {from: Selector, selector: {matchLabels: {games: "true"}}}}`,
		`{allowedNamespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: In, values: [b, c]}, {key: d, operator: DoesNotExist}]}}}`,
		`{image: "registry.example.com:5000/games/leaderboard-server:v1.2.3@sha256:` + strings.Repeat("a", 64) + `", imagePullPolicy: Never}`,
		`{exposure: {type: Ingress, domain: localhost, port: 8088}}`,
		`{exposure: {type: Ingress, domain: games.example.com, ingressClassName: nginx, tlsSecretName: games-tls, annotations: {example.com/rate: "10"}}}`,
		`{exposure: {type: Ingress, domain: games.example.com, hostTemplate: "{name}-{namespace}.{domain}", tlsSecretName: "{name}-tls", trustedProxies: [10.244.0.0/16, "fd00::/8"]}}`,
		`{exposure: {type: Ingress, domain: games.example.com, hostTemplate: "play.{namespace}.g-{name}.eu.{domain}", tlsSecretName: "{name}"}}`,
		`{networkPolicy: {enabled: false}}`,
		`{networkPolicy: {dnsPorts: [53, 5353], clients: [{namespaceSelector: {matchLabels: {a: b}}}], ingressFrom: [{ports: [{port: 15008}]}], egressTo: [{peers: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}], ports: [{protocol: UDP, port: 1, endPort: 1}]}]}}`,
		`{exposure: {service: {type: LoadBalancer, externalTrafficPolicy: Local, loadBalancerClass: example.com/internal, ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6, IPv4]}}}`,
		`{defaults: {replicas: 4, resources: {limits: {memory: 32Mi}}}, limits: {maxReplicas: 4, maxBoards: 0, postgresConnections: 1000}}`,
		`{controllerName: example.com/other}`,
		`{rotation: {every: 720h}, limits: {maxLeaderboards: 0, maxLeaderboardsPerNamespace: 1}}`,
	} {
		object := parse(t, "LeaderboardClass", strings.Repeat("c", 63), classSpec(t, changes))
		require.NoError(t, cluster.Create(timeout(t), object), changes)
		require.NoError(t, cluster.Delete(timeout(t), object))
	}
}
