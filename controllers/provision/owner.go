package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Owner is the Leaderboard that a schema, its roles and its Redis user belong to.
// It stands in the comments of the former and in Redis under the operator's own
// prefix, and is compared before any of them is written.
type Owner struct {
	// Cluster is the UID of the namespace kube-system, which no other cluster has.
	Cluster      string `json:"cluster,omitempty"`
	Namespace    string `json:"namespace"`
	NamespaceUID string `json:"namespaceUID,omitempty"`
	Name         string `json:"name"`
	UID          string `json:"uid"`
	// Retained says that the object was deleted and its scores were kept.
	Retained bool `json:"retained,omitempty"`
}

// Claim says on whose behalf a tenant is written, and which changes of its owner
// or its place the platform team has approved.
type Claim struct {
	Owner    Owner
	Approved Approvals
}

// Approvals are the changes that the platform team has approved, as [Error].Approve
// names them.
type Approvals []string

func (a Approvals) has(change string) bool {
	for _, one := range a {
		if one == ApprovalOf(change) {
			return true
		}
	}
	return false
}

// approvalBytes of SHA-256 name a change: 40 bits tell apart what one class meets.
const approvalBytes = 5

// ApprovalOf is the word by which the platform team approves one change, and no
// other: it holds what was there before and what is to be there from now on.
func ApprovalOf(change string) string {
	sum := sha256.Sum256([]byte(change))
	return hex.EncodeToString(sum[:approvalBytes])
}

// admit returns nil if what belongs to has may be written on behalf of the claim's
// owner: they are the same, or has let it go, or the change is approved. what names
// the thing in the error.
//
// A change is named by its widest cause, so that one approval covers all games that
// it concerns: another cluster, a re-created namespace, a re-created Leaderboard.
func (c Claim) admit(has Owner, what string) error {
	want := c.Owner
	if has.Namespace != want.Namespace || has.Name != want.Name {
		return &Error{Kind: OwnershipConflict, Message: fmt.Sprintf("%s belongs to the Leaderboard %s/%s", what, has.Namespace, has.Name)}
	}

	var change, whose string
	switch {
	case has.Cluster != "" && has.Cluster != want.Cluster:
		change = fmt.Sprintf("cluster %s %s", has.Cluster, want.Cluster)
		whose = fmt.Sprintf("the Leaderboard %s/%s of another Kubernetes cluster, whose namespace kube-system has the UID %s", has.Namespace, has.Name, has.Cluster)
	case has.UID == want.UID:
		return nil
	case has.NamespaceUID != want.NamespaceUID:
		change = fmt.Sprintf("namespace %s %s %s", has.Namespace, has.NamespaceUID, want.NamespaceUID)
		whose = fmt.Sprintf("the Leaderboard %s/%s of an earlier namespace of this name", has.Namespace, has.Name)
	case has.Retained:
		return nil
	default:
		change = fmt.Sprintf("leaderboard %s/%s %s %s", has.Namespace, has.Name, has.UID, want.UID)
		whose = fmt.Sprintf("the Leaderboard %s/%s with the UID %s", has.Namespace, has.Name, has.UID)
	}

	if c.Approved.has(change) {
		return nil
	}

	return &Error{Kind: OwnershipConflict, Message: fmt.Sprintf("%s belongs to %s", what, whose), Approve: ApprovalOf(change)}
}

// admitUnknown is admit for what exists under a tenant's name without saying whose
// it is.
func (c Claim) admitUnknown(what, name string) error {
	change := fmt.Sprintf("unknown %s %s", name, c.Owner.UID)
	if c.Approved.has(change) {
		return nil
	}
	return &Error{Kind: OwnershipConflict, Message: what + " exists, and it is not said whose it is", Approve: ApprovalOf(change)}
}

// parseOwner reads what [encode] has written, and reports whether it is that.
func parseOwner(text string) (Owner, bool) {
	var owner Owner
	err := json.Unmarshal([]byte(text), &owner)
	return owner, err == nil && owner.UID != ""
}

// encode is an owner, or a mark, as it is written down.
func encode[T Owner | mark](owner T) (string, error) {
	encoded, err := json.Marshal(owner)
	if err != nil {
		return "", fmt.Errorf("encode the owner: %w", err)
	}
	return string(encoded), nil
}
