package auth_test

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
)

// threadTime is the CPU time of the calling thread, which other processes do not
// make longer.
func threadTime(t *testing.T) time.Duration {
	const thisThread = 1 // RUSAGE_THREAD
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(thisThread, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Refusing a login is the same work whether there is such a user or not, whatever
// the cost of the user's hash was.
func TestRefusalsAreTheSameWork(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	const present = bcrypt.MinCost + 2 // 4 times the work of the least
	passwords := auth.NewPasswords(present, 1, patience)
	work := func(hash, password string) time.Duration {
		least := time.Hour
		for range 5 {
			begun := threadTime(t)
			match, _ := verify(t, passwords, hash, password)
			require.False(t, match)
			least = min(least, threadTime(t)-begun)
		}
		return least
	}

	nobody := map[string]time.Duration{}
	typed := []string{"wrong horse", "pa\u0308sswo\u0308rd", "secret12\x00secret12", strings.Repeat("x", 73), strings.Repeat("x", 5000)}
	check := func(cost int) {
		hash := rawHash(t, "correct horse", cost)
		for _, password := range typed {
			require.InEpsilon(t, nobody[password], work(hash, password), 0.5, "cost %d, %q", cost, password)
		}
	}
	measure := func() {
		for _, password := range typed {
			nobody[password] = work("", password)
		}
	}

	measure()
	for cost := bcrypt.MinCost; cost <= present; cost++ {
		check(cost)
	}

	require.InEpsilon(t, 2*nobody["wrong horse"], nobody["pa\u0308sswo\u0308rd"], 0.5, "two forms, twice the work")

	// The cost was once higher: from the first such hash on nobody costs as much.
	before := work("", "wrong horse") // again, as neighbours on the machine come and go
	verify(t, passwords, rawHash(t, "correct horse", present+1), "wrong horse")
	measure()
	require.Greater(t, nobody["wrong horse"], before*5/4)
	check(present + 1)
	check(bcrypt.MinCost)
}
