package v1alpha1

// ShareAnnotation of a Secret in the operator's namespace, where it is "true", lets a
// LeaderboardClass give what is in it to the servers of games: a client certificate, or
// a login to Sentinels. Who may read Secrets in a game's namespace then has it.
const ShareAnnotation = "games.leaderboard.dev/share-with-games"

// DefaultCAKey is the key of a Secret with authorities, where a class names none.
const DefaultCAKey = "ca.crt"

// SecretReference names a Secret in the operator's namespace.
type SecretReference struct {
	// name of the Secret. Its namespace is always the operator's.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="must be the name of a Secret in the operator's namespace, without a namespace: lower-case letters, digits, - and ."
	Name string `json:"name,omitempty"`
}

// AdminSecretReference names a Secret in the operator's namespace with an
// administrator's login.
//
// +kubebuilder:validation:XValidation:rule="!has(self.username) || !has(self.usernameKey)",fieldPath=".username",message="set username or usernameKey, not both: usernameKey where the Secret has the name, username where it does not"
type AdminSecretReference struct {
	// name of the Secret. Its namespace is always the operator's.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="must be the name of a Secret in the operator's namespace, without a namespace: lower-case letters, digits, - and ."
	Name string `json:"name,omitempty"`

	// username of the administrator, where the Secret has only the password.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Username string `json:"username,omitempty"`

	// usernameKey is the key with the username. Left out, username. With other keys than
	// username and password the Secret has to name its hosts by the annotation
	// games.leaderboard.dev/hosts.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key of a Secret: letters, digits, -, _ and ."
	UsernameKey string `json:"usernameKey,omitempty"`

	// passwordKey is the key with the password. Left out, password.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key of a Secret: letters, digits, -, _ and ."
	PasswordKey string `json:"passwordKey,omitempty"`
}

// CASecretReference names a Secret in the operator's namespace with the certificates of
// authorities.
type CASecretReference struct {
	// name of the Secret. Its namespace is always the operator's.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="must be the name of a Secret in the operator's namespace, without a namespace: lower-case letters, digits, - and ."
	Name string `json:"name,omitempty"`

	// key with the certificates in PEM; of anything else under it no notice is taken.
	// Left out, ca.crt.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key of a Secret: letters, digits, -, _ and ."
	Key string `json:"key,omitempty"`
}
