package provision

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// refused expects an OwnershipConflict, and returns the word that approves it.
func refused(t *testing.T, err error) string {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, OwnershipConflict, KindOf(err), err)
	var e *Error
	require.ErrorAs(t, err, &e)
	return e.Approve
}

// approve is the claim with one more approval.
func approve(claim Claim, word string) Claim {
	claim.Approved = append(append(Approvals{}, claim.Approved...), word)
	return claim
}

// Whose a tenant is changes only with an approval, and one that names exactly this
// change or a wider one.
func TestOwnership(t *testing.T) {
	p, admin := database(t)
	for name, test := range map[string]struct {
		change     func(*Owner)
		retained   bool
		approvable bool
	}{
		"re-created in Kubernetes":                       {func(o *Owner) { o.UID = "2" }, false, true},
		"of another cluster":                             {func(o *Owner) { o.Cluster, o.UID, o.NamespaceUID = "another-cluster", "2", "3" }, false, true},
		"of another namespace":                           {func(o *Owner) { o.Namespace = "elsewhere" }, false, false},
		"of another name":                                {func(o *Owner) { o.Name = "another" }, false, false},
		"retained, of a re-created namespace":            {func(o *Owner) { o.UID, o.NamespaceUID = "2", "games-2" }, true, true},
		"retained, of another cluster":                   {func(o *Owner) { o.Cluster, o.UID = "another-cluster", "2" }, true, true},
		"retained, and the namespace's UID is not known": {func(o *Owner) { o.UID, o.NamespaceUID = "2", "" }, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			one, claim, password := provisioned(t, p)
			superuser(t, admin.Database, "INSERT INTO "+quote(one.Schema())+".scores (score) VALUES (7)")
			if test.retained {
				require.NoError(t, p.Release(t.Context(), one, claim))
				require.NoError(t, p.Release(t.Context(), one, claim), "safe to run twice")
			}

			another := claim
			test.change(&another.Owner)
			_, err := p.EnsureSchema(t.Context(), one, another, schemaOptions)
			word := refused(t, err)
			refused(t, p.SetPassword(t.Context(), one, another, tenant.SlotA, rand.Text()))
			if !test.retained { // nothing is left to end
				refused(t, p.DisableLogin(t.Context(), one, another, tenant.SlotA))
			}
			refused(t, p.Release(t.Context(), one, another))
			_, err = p.Drop(t.Context(), one, another)
			refused(t, err)

			works, err := p.VerifyLogin(t.Context(), one, tenant.SlotA, password)
			require.NoError(t, err)
			require.Equal(t, !test.retained, works, "nothing was touched")
			require.Equal(t, test.approvable, word != "")
			if !test.approvable {
				return
			}

			_, err = p.EnsureSchema(t.Context(), one, approve(another, ApprovalOf("something else")), schemaOptions)
			require.Equal(t, word, refused(t, err))
			_, err = p.EnsureSchema(t.Context(), one, approve(another, word), schemaOptions)
			require.NoError(t, err)
			require.Equal(t, 7, count(t, admin.Database, "SELECT score FROM "+quote(one.Schema())+".scores"), "with its scores")
			_, err = p.EnsureSchema(t.Context(), one, another, schemaOptions)
			require.NoError(t, err, "from then on it needs no approval")
			_, err = p.EnsureSchema(t.Context(), one, claim, schemaOptions)
			refused(t, err)
		})
	}
}

// One approval covers every game of a cluster or of a namespace.
func TestApprovalOfTheWidestCause(t *testing.T) {
	p, _ := database(t)
	a, claimA, _ := provisioned(t, p)
	b, claimB, _ := provisioned(t, p)

	for _, change := range []func(*Owner){
		func(o *Owner) { o.Cluster, o.NamespaceUID, o.UID = "second", "2", o.UID+"2" },
		func(o *Owner) { o.NamespaceUID, o.UID = "3", o.UID+"3" },
	} {
		change(&claimA.Owner)
		change(&claimB.Owner)
		_, err := p.EnsureSchema(t.Context(), a, claimA, schemaOptions)
		word := refused(t, err)
		_, err = p.EnsureSchema(t.Context(), a, approve(claimA, word), schemaOptions)
		require.NoError(t, err)
		_, err = p.EnsureSchema(t.Context(), b, approve(claimB, word), schemaOptions)
		require.NoError(t, err)
	}
}

// A retained tenant is found by the next object of its name in the same namespace.
func TestRetainedIsFoundAgain(t *testing.T) {
	p, admin := database(t)
	one, claim, _ := provisioned(t, p)
	superuser(t, admin.Database, "INSERT INTO "+quote(one.Schema())+".scores (score) VALUES (7)")
	require.NoError(t, p.Release(t.Context(), one, claim))
	logins, err := p.Logins(t.Context(), one)
	require.NoError(t, err)
	require.Equal(t, map[tenant.Slot]bool{tenant.SlotA: false, tenant.SlotB: false}, logins)

	claim.Owner.UID = "2"
	ids, err := p.Tenants(t.Context(), claim.Owner)
	require.NoError(t, err)
	require.Equal(t, []string{one.ID}, ids)
	_, err = p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
	require.Equal(t, 7, count(t, admin.Database, "SELECT score FROM "+quote(one.Schema())+".scores"))
}

// A schema and roles that an older operator made say less: they are marked in full
// by the first look.
func TestOlderMarksAreCompleted(t *testing.T) {
	p, admin := database(t)
	one, claim, _ := provisioned(t, p)
	old := `{"namespace":"games","name":"` + claim.Owner.Name + `","uid":"` + claim.Owner.UID + `"}`
	superuser(t, admin.Database, "COMMENT ON SCHEMA "+quote(one.Schema())+" IS '"+old+"'")
	for _, role := range one.Roles() {
		superuser(t, admin.Database, "COMMENT ON ROLE "+quote(role)+" IS NULL")
	}

	changed, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, 5, count(t, admin.Database, `SELECT count(*) FROM (
		SELECT obj_description(oid, 'pg_namespace') c FROM pg_namespace WHERE nspname = '`+one.Schema()+`'
		UNION ALL SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE starts_with(rolname, '`+one.Schema()+`')) m
		WHERE c LIKE '%"cluster":"cluster-of-tests"%' AND c LIKE '%"server":"%' AND c LIKE '%"database":%'`))
}

// Roles are the server's: an operator that works in another database of it, with the
// same names, neither gets the roles nor, if that is approved, breaks on removing them.
func TestRolesOfAnotherDatabase(t *testing.T) {
	first, admin := database(t)
	one, claim, password := provisioned(t, first)
	name, err := postgres.CreateDatabase(t.Context())
	require.NoError(t, err)
	superuser(t, name, "ALTER DATABASE "+quote(name)+" OWNER TO "+quote(admin.Username))
	elsewhere := admin
	elsewhere.Database = name
	second, err := OpenPostgres(t.Context(), elsewhere, testOperator)
	require.NoError(t, err)
	t.Cleanup(second.Close)

	theirs := claim
	theirs.Owner.Cluster = "another-cluster"
	_, err = second.EnsureSchema(t.Context(), one, theirs, schemaOptions)
	refused(t, err)
	refused(t, second.SetPassword(t.Context(), one, theirs, tenant.SlotA, rand.Text()))
	works, err := first.VerifyLogin(t.Context(), one, tenant.SlotA, password)
	require.NoError(t, err)
	require.True(t, works)

	// The same Leaderboard, retained in the first database and made again in the second.
	require.NoError(t, first.Release(t.Context(), one, claim))
	_, err = second.EnsureSchema(t.Context(), one, claim, schemaOptions)
	moved := approve(claim, refused(t, err))
	_, err = second.EnsureSchema(t.Context(), one, moved, schemaOptions)
	require.NoError(t, err)
	left, err := second.Drop(t.Context(), one, moved)
	require.NoError(t, err)
	require.Contains(t, left, one.OwnerRole(), "it owns the retained schema")
	require.Equal(t, 1, count(t, admin.Database, "SELECT count(*) FROM pg_namespace WHERE nspname = '"+one.Schema()+"'"))
	require.Equal(t, 0, count(t, name, "SELECT count(*) FROM pg_namespace WHERE nspname = '"+one.Schema()+"'"))
	left, err = second.Drop(t.Context(), one, moved)
	require.NoError(t, err, "safe to run twice")
	require.NotEmpty(t, left)
}

// A schema that was made and is gone is not made again without an approval.
func TestMissingSchema(t *testing.T) {
	p, admin := database(t)
	one, claim, _ := provisioned(t, p)
	superuser(t, admin.Database, "DROP SCHEMA "+quote(one.Schema())+" CASCADE")
	existed := schemaOptions
	existed.Existed = true

	_, err := p.EnsureSchema(t.Context(), one, claim, existed)
	require.Equal(t, Missing, KindOf(err), err)
	require.Equal(t, 0, count(t, admin.Database, "SELECT count(*) FROM pg_namespace WHERE nspname = '"+one.Schema()+"'"))
	var missing *Error
	require.ErrorAs(t, err, &missing)
	_, err = p.EnsureSchema(t.Context(), one, approve(claim, missing.Approve), existed)
	require.NoError(t, err)
}
