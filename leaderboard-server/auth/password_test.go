package auth_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const patience = 30 * time.Second

// verify logs in with a hash; renewed is empty if the hash stays.
func verify(t *testing.T, passwords *auth.Passwords, hash, password string) (match bool, renewed string) {
	t.Helper()
	match, renewed, err := passwords.Verify(t.Context(), hash, password)
	require.NoError(t, err)
	return match, renewed
}

// rawHash is a hash as servers made it before passwords were normalized.
func rawHash(t *testing.T, password string, cost int) string {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	require.NoError(t, err)
	return string(hash)
}

func TestPasswords(t *testing.T) {
	passwords := auth.NewPasswords(bcrypt.MinCost, 2, patience)
	for _, password := range []string{strings.Repeat("x", 8), strings.Repeat("x", 72), "pässwörd", "a pass phrase", "🎲🎲🎲🎲"} {
		hash, err := passwords.Hash(t.Context(), password)
		require.NoError(t, err)
		match, renewed := verify(t, passwords, hash, password)
		require.True(t, match)
		require.Empty(t, renewed, "the hash is as it would be made now")
		match, renewed = verify(t, passwords, hash, password[:len(password)-1]+"!")
		require.False(t, match)
		require.Empty(t, renewed)
	}

	hash, err := passwords.Hash(t.Context(), strings.Repeat("x", 72))
	require.NoError(t, err)
	match, _ := verify(t, passwords, hash, strings.Repeat("x", 73))
	require.False(t, match, "bcrypt alone would take it")

	_, _, err = passwords.Verify(t.Context(), "no hash", "12345678")
	require.Equal(t, leaderboard.CodeInternal, leaderboard.CodeOf(err))
}

// What RFC 8265 refuses, or bcrypt would cut, is refused by name.
func TestRefusedPasswords(t *testing.T) {
	passwords := auth.NewPasswords(bcrypt.MinCost, 2, patience)
	for _, password := range []string{"", "1234567", strings.Repeat("x", 73), strings.Repeat("ä", 37), strings.Repeat("x", 5000), "\xff\xfe567890",
		"secret12\x00secret12", "secret12\x00", "secret\n12", "secret\t12", "secret\x7f12", "secret\u008512", "secret\u200b12", "secret\u202e12"} {
		_, err := passwords.Hash(t.Context(), password)
		var refused *leaderboard.Error
		require.ErrorAs(t, err, &refused, "%q", password)
		require.Equal(t, leaderboard.CodeInvalid, refused.Code)
		require.Equal(t, "password", refused.Field)
		require.NotContains(t, refused.Message, "secret")
	}
}

// A password is the same however a keyboard composes its characters, and whichever
// space it sends.
func TestPasswordsAreNormalized(t *testing.T) {
	passwords := auth.NewPasswords(bcrypt.MinCost, 2, patience)
	for _, forms := range [][]string{{"pässwörd", "pa\u0308sswo\u0308rd"}, {"a phrase here", "a\u00a0phrase\u3000here"},
		{strings.Repeat("ế", 24), strings.Repeat("e\u0302\u0301", 24)}} { // 72 bytes, and 120
		for _, registered := range forms {
			hash, err := passwords.Hash(t.Context(), registered)
			require.NoError(t, err)
			for _, typed := range forms {
				match, renewed := verify(t, passwords, hash, typed)
				require.True(t, match, "%q and %q", registered, typed)
				require.Empty(t, renewed)
			}
		}
	}
}

// An account whose password was hashed as it was typed stays open, and from its
// first login on takes the other forms as well.
func TestHashesOfTypedBytes(t *testing.T) {
	passwords := auth.NewPasswords(bcrypt.MinCost, 2, patience)
	hash := rawHash(t, "pa\u0308sswo\u0308rd", bcrypt.MinCost)
	match, _ := verify(t, passwords, hash, "pässwörd")
	require.False(t, match, "nothing tells that it is the same")
	match, renewed := verify(t, passwords, hash, "pa\u0308sswo\u0308rd")
	require.True(t, match)
	require.NotEmpty(t, renewed)

	for _, typed := range []string{"pässwörd", "pa\u0308sswo\u0308rd"} {
		match, again := verify(t, passwords, renewed, typed)
		require.True(t, match)
		require.Empty(t, again)
	}

	// What could not be chosen today stays as it is, at today's cost.
	for _, typed := range []string{"tab\there", "with\x00nul...", "zero\u200bwidth", "\xff\xfe567890"} {
		match, renewed := verify(t, passwords, rawHash(t, typed, bcrypt.MinCost), typed)
		require.True(t, match, "%q", typed)
		require.Empty(t, renewed)
		_, renewed = verify(t, passwords, rawHash(t, typed, bcrypt.MinCost+1), typed)
		match, again := verify(t, passwords, renewed, typed)
		require.True(t, match)
		require.Empty(t, again)
	}
}

// bcrypt repeats its key, with a NUL in between: that opens no account.
func TestRepeatedPasswordsAreRefused(t *testing.T) {
	passwords := auth.NewPasswords(bcrypt.MinCost, 2, patience)
	hash := rawHash(t, "secret12", bcrypt.MinCost)
	for _, typed := range []string{"secret12\x00secret12", "secret12\x00secret12\x00secret12", strings.Repeat("secret12\x00", 8)} {
		require.NoError(t, bcrypt.CompareHashAndPassword([]byte(hash), []byte("secret12\x00secret12")), "bcrypt alone takes it")
		match, _ := verify(t, passwords, hash, typed)
		require.False(t, match, "%q", typed)
	}

	match, _ := verify(t, passwords, rawHash(t, "secret12\x00secret12", bcrypt.MinCost), "secret12")
	require.True(t, match, "an account that was made with the repetition opens with the password that is repeated")
}

// Hashes of another cost are renewed at the present one.
func TestHashesOfAnotherCostAreRenewed(t *testing.T) {
	const present = bcrypt.MinCost + 1
	passwords := auth.NewPasswords(present, 2, patience)
	for cost := present - 1; cost <= present+1; cost++ {
		hash := rawHash(t, "correct horse", cost)
		match, renewed := verify(t, passwords, hash, "wrong horse")
		require.False(t, match)
		require.Empty(t, renewed)
		match, renewed = verify(t, passwords, hash, "correct horse")
		require.True(t, match)

		if cost == present {
			require.Empty(t, renewed)
			continue
		}

		actual, err := bcrypt.Cost([]byte(renewed))
		require.NoError(t, err)
		require.Equal(t, present, actual)
		match, _ = verify(t, passwords, renewed, "correct horse")
		require.True(t, match)
	}
}

// With the one slot taken, further hashing waits, and only so long.
func TestHashingIsBounded(t *testing.T) {
	passwords := auth.NewPasswords(12, 1, 10*time.Millisecond) // cost 12 takes some 200 ms
	errs := make([]error, 8)
	var group sync.WaitGroup

	for i := range errs {
		group.Go(func() {
			if i%2 == 0 {
				_, errs[i] = passwords.Hash(context.Background(), "12345678")
			} else {
				_, _, errs[i] = passwords.Verify(context.Background(), "", "12345678")
			}
		})
	}

	group.Wait()
	codes := map[leaderboard.Code]int{}
	for _, err := range errs {
		codes[leaderboard.CodeOf(err)]++
	}

	require.Positive(t, codes[""], "one had the slot")
	require.Positive(t, codes[leaderboard.CodeBusy])
	require.Equal(t, len(errs), codes[""]+codes[leaderboard.CodeBusy])
	require.Zero(t, passwords.Waiting())
}
