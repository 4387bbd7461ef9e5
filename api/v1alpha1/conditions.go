package v1alpha1

// Condition types of a Leaderboard. Reconciling and Stalled are there only
// while they are true, as kstatus wants:
// https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
const (
	// ConditionReady: the endpoint serves the current spec, or no Pod is asked for.
	ConditionReady = "Ready"
	// ConditionSchemaReady: the tenant's Postgres schema and roles exist and
	// the schema is at the version that the server needs.
	ConditionSchemaReady = "SchemaReady"
	// ConditionKeyspaceReady: the tenant's Redis user exists on every node.
	ConditionKeyspaceReady = "KeyspaceReady"
	// ConditionWorkloadAvailable: enough Pods of the current spec are ready.
	ConditionWorkloadAvailable = "WorkloadAvailable"
	// ConditionReconciling: the operator is working toward the current spec.
	ConditionReconciling = "Reconciling"
	// ConditionStalled: somebody has to change something before the operator
	// can go on.
	ConditionStalled = "Stalled"
)

// Condition types of a LeaderboardClass, which also has Ready, Reconciling and Stalled.
const (
	// ConditionAccepted: the class is this operator's and its references resolve.
	ConditionAccepted = "Accepted"
	// ConditionReachable: Postgres and Redis answered the admin credentials,
	// which have the rights that the operator needs.
	ConditionReachable = "Reachable"
	// ConditionIngressServed: the IngressClass of the games' Ingresses exists. It is there
	// only while the class has a domain for them.
	ConditionIngressServed = "IngressServed"
)

// Reasons of the conditions of a Leaderboard.
const (
	// ReasonPending: the operator has not looked yet.
	ReasonPending = "Pending"
	// ReasonReady: the condition is true and nothing is left to do.
	ReasonReady = "Ready"
	// ReasonProgressing: work is under way.
	ReasonProgressing = "Progressing"
	// ReasonScaledToZero: the condition is true and no Pod is asked for, so nothing is served.
	ReasonScaledToZero = "ScaledToZero"
	// ReasonSuspended: spec.suspend is set; the operator changes nothing.
	ReasonSuspended = "Suspended"
	// ReasonDeleting: the Leaderboard is being deleted.
	ReasonDeleting = "Deleting"
	// ReasonClassNotFound: the class does not exist, or none is the default.
	ReasonClassNotFound = "ClassNotFound"
	// ReasonClassNotReady: the class is not accepted or not reachable.
	ReasonClassNotReady = "ClassNotReady"
	// ReasonNamespaceNotAllowed: the class does not admit this namespace.
	ReasonNamespaceNotAllowed = "NamespaceNotAllowed"
	// ReasonLimitExceeded: the spec asks for more than the class allows.
	ReasonLimitExceeded = "LimitExceeded"
	// ReasonInvalidSpec: the spec has a value that the API server could not know to be
	// wrong, such as a time zone that does not exist.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonHostTaken: another Leaderboard has the host that this one would get.
	ReasonHostTaken = "HostTaken"
	// ReasonPlacementChanged: the class leads to other stores than those that hold
	// the data. Also of a LeaderboardClass.
	ReasonPlacementChanged = "PlacementChanged"
	// ReasonSchemaMissing: the schema was made and is not there any more.
	ReasonSchemaMissing = "SchemaMissing"
	// ReasonOwnershipConflict: the schema, a role or the Redis user belongs to another
	// Leaderboard. Also of a LeaderboardClass, where another operator works in the
	// database.
	ReasonOwnershipConflict = "OwnershipConflict"
	// ReasonPostgresUnreachable: Postgres did not answer in time.
	ReasonPostgresUnreachable = "PostgresUnreachable"
	// ReasonRedisUnreachable: Redis did not answer in time.
	ReasonRedisUnreachable = "RedisUnreachable"
	// ReasonReadOnly: a store answers and takes no writes. Also of a LeaderboardClass.
	ReasonReadOnly = "ReadOnly"
	// ReasonInsufficientRights: the admin credentials lack a right.
	ReasonInsufficientRights = "InsufficientRights"
	// ReasonMigrationFailed: the schema could not be brought to the version
	// that the server needs.
	ReasonMigrationFailed = "MigrationFailed"
	// ReasonProvisioningFailed: a store refused something for another cause.
	ReasonProvisioningFailed = "ProvisioningFailed"
	// ReasonApplyFailed: the API server refused an object of the workload.
	ReasonApplyFailed = "ApplyFailed"
	// ReasonWorkloadUnavailable: not enough Pods are ready, and it is known why.
	ReasonWorkloadUnavailable = "WorkloadUnavailable"
)

// Reasons of the conditions of a LeaderboardClass.
const (
	// ReasonAccepted: the class can be used.
	ReasonAccepted = "Accepted"
	// ReasonReachable: both stores answered.
	ReasonReachable = "Reachable"
	// ReasonSecretNotFound: an admin Secret does not exist in the operator's
	// namespace.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretInvalid: an admin Secret lacks a key.
	ReasonSecretInvalid = "SecretInvalid"
	// ReasonMultipleDefaults: more than one class is marked as the default.
	ReasonMultipleDefaults = "MultipleDefaults"
	// ReasonMisconfigured: a store answered but must not be shared by tenants
	// as it is configured.
	ReasonMisconfigured = "Misconfigured"
	// ReasonIngressClassFound: the IngressClass exists.
	ReasonIngressClassFound = "IngressClassFound"
	// ReasonIngressClassNotFound: the IngressClass that exposure.ingressClassName names does
	// not exist. Also of a Leaderboard that has an Ingress.
	ReasonIngressClassNotFound = "IngressClassNotFound"
	// ReasonIngressClassUnknown: it cannot be told which controller serves the Ingresses.
	ReasonIngressClassUnknown = "IngressClassUnknown"
	// ReasonInUse: the class is being deleted while Leaderboards use it.
	ReasonInUse = "InUse"
)
