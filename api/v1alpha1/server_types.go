package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LogLevel is the least that a server logs.
// +kubebuilder:validation:Enum=debug;info;warn;error
type LogLevel string

// Rate is how many events there may be in a second (s), minute (m) or hour (h), and how many at
// once; off: any number.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self.matches('^(off|[1-9][0-9]{0,5}/[smh] burst [1-9][0-9]{0,5})$')",message="must be a number per s, m or h and how many at once, for example 10/s burst 100, or off"
type Rate string

// ClassServer are the settings of the servers of all games of a class, where they are to be others
// than the server's own. An edit replaces the Pods.
type ClassServer struct {
	// logLevel is the least that is logged: debug, info, warn or error. Left out, info.
	// +optional
	LogLevel LogLevel `json:"logLevel,omitempty"`

	// logFormat is how lines are written: json or text. Left out, json.
	// +optional
	// +kubebuilder:validation:Enum=json;text
	LogFormat string `json:"logFormat,omitempty"`

	// requestTimeout bounds the work on one request; Pods get that and 5 s to end, from 1s to 10m. Left out, 15s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="must be a duration from 1s to 10m, for example 30s"
	RequestTimeout *metav1.Duration `json:"requestTimeout,omitempty"`

	// idleTimeout is how long a connection is kept open between two requests, which should be longer than balancers in front keep theirs, from 1s to 24h. Left out, 11m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="must be a duration from 1s to 24h, for example 15m"
	IdleTimeout *metav1.Duration `json:"idleTimeout,omitempty"`

	// hashingTimeout is how long a login waits for its turn to hash a password, from 10ms to 1m. Left out, 5s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('10ms') && duration(self) <= duration('1m')",message="must be a duration from 10ms to 1m, for example 5s"
	HashingTimeout *metav1.Duration `json:"hashingTimeout,omitempty"`

	// pageSnapshotTTL is how old a page may be that is read without a token: 0s has each request read the ranking, from 0s to 1m. Left out, 20ms.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('1m')",message="must be a duration from 0s to 1m, for example 20ms"
	PageSnapshotTTL *metav1.Duration `json:"pageSnapshotTTL,omitempty"`

	// reportTTL is how old a report may be: 0s has each be read when it is asked for, from 0s to 1m. Left out, 5s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('1m')",message="must be a duration from 0s to 1m, for example 5s"
	ReportTTL *metav1.Duration `json:"reportTTL,omitempty"`

	// catchUpInterval is how often rankings are compared with the scores, from 10ms to 1m. Left out, 250ms.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('10ms') && duration(self) <= duration('1m')",message="must be a duration from 10ms to 1m, for example 250ms"
	CatchUpInterval *metav1.Duration `json:"catchUpInterval,omitempty"`

	// hashingConcurrency is how many passwords a Pod hashes at once. Left out, half of its CPUs, at least one.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	HashingConcurrency *int32 `json:"hashingConcurrency,omitempty"`

	// maxConnections bounds the open connections of one Pod. Left out, what a share of its memory holds, at most 10,000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxConnections *int32 `json:"maxConnections,omitempty"`

	// bodyBudgetBytes bounds what the bodies of all requests under way in one Pod take, in bytes. Left out, an eighth of its memory.
	// +optional
	// +kubebuilder:validation:Minimum=65536
	// +kubebuilder:validation:Maximum=1099511627776
	BodyBudgetBytes *int64 `json:"bodyBudgetBytes,omitempty"`

	// maxInFlightPerPlayer bounds the submissions that one player has under way in one Pod. Left out, 32.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxInFlightPerPlayer *int32 `json:"maxInFlightPerPlayer,omitempty"`

	// maxBatchesPerAccount bounds the batches that one service account has under way in one Pod. Left out, 8.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxBatchesPerAccount *int32 `json:"maxBatchesPerAccount,omitempty"`

	// maxListsPerClient bounds the lists of entries that one client has under way in one Pod. Left out, 64.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxListsPerClient *int32 `json:"maxListsPerClient,omitempty"`

	// commitQueue bounds the submissions of one Pod that wait for a transaction. Left out, 4096.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	CommitQueue *int32 `json:"commitQueue,omitempty"`

	// commitMaxBatch bounds the submissions of one transaction. Left out, 256.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	CommitMaxBatch *int32 `json:"commitMaxBatch,omitempty"`

	// rates bound what one client or player may do, all Pods of a game together.
	// +optional
	Rates ServerRates `json:"rates,omitzero"`
}

// ServerRates bound what one client or player may do. A client is an address, or the /64 of an
// IPv6 address.
type ServerRates struct {
	// loginPerClient bounds the logins that one client attempts. Left out, 10/s burst 100.
	// +optional
	LoginPerClient Rate `json:"loginPerClient,omitempty"`

	// loginPerUsernameAndClient bounds the failed logins of one client for one username. Left out, 30/m burst 10.
	// +optional
	LoginPerUsernameAndClient Rate `json:"loginPerUsernameAndClient,omitempty"`

	// loginPerUsername bounds the failed logins for one username from all clients. Left out, 300/m burst 100.
	// +optional
	LoginPerUsername Rate `json:"loginPerUsername,omitempty"`

	// registerPerClient bounds the registrations that one client attempts. Left out, 10/s burst 100.
	// +optional
	RegisterPerClient Rate `json:"registerPerClient,omitempty"`

	// registerPerUsername bounds the registrations attempted for one username. Left out, 30/m burst 10.
	// +optional
	RegisterPerUsername Rate `json:"registerPerUsername,omitempty"`

	// reportPerPlayer bounds the reports of one player. Left out, 2/s burst 60.
	// +optional
	ReportPerPlayer Rate `json:"reportPerPlayer,omitempty"`

	// historyPerPlayer bounds the parts of histories that one player reads. Left out, 2/s burst 60.
	// +optional
	HistoryPerPlayer Rate `json:"historyPerPlayer,omitempty"`

	// attributesPerPlayer bounds how often a player changes its attributes. Left out, 10/h burst 30.
	// +optional
	AttributesPerPlayer Rate `json:"attributesPerPlayer,omitempty"`

	// exportPerPlayer bounds how often a player exports what is kept of it. Left out, 3/h burst 3.
	// +optional
	ExportPerPlayer Rate `json:"exportPerPlayer,omitempty"`
}
