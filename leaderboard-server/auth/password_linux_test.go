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
	type login struct{ hash, password string }
	// Kernels count a thread's time in ticks of some milliseconds: it takes many of them.
	const ticks = 40 * time.Millisecond
	workOf := func(passwords *auth.Passwords, l login) time.Duration {
		begun := threadTime(t)
		for n := time.Duration(1); ; n++ {
			match, _ := verify(t, passwords, l.hash, l.password)
			require.False(t, match)
			if took := threadTime(t) - begun; took >= ticks {
				return took / n
			}
		}
	}
	work := func(l login) time.Duration { return workOf(passwords, l) }
	// ratio is of the work of two, each at its least: neighbours on the machine come and go,
	// so they take turns until it is near what is expected, or has had its chances.
	ratio := func(a, b login, expected float64) float64 {
		const chances, near = 20, 0.4
		leastA, leastB := time.Hour, time.Hour
		for i := range chances {
			leastA, leastB = min(leastA, work(a)), min(leastB, work(b))
			if is := float64(leastA) / float64(leastB); i > 0 && is > expected*(1-near) && is < expected*(1+near) {
				break
			}
		}
		return float64(leastA) / float64(leastB)
	}

	typed := []string{"wrong horse", "pa\u0308sswo\u0308rd", "secret12\x00secret12", strings.Repeat("x", 73), strings.Repeat("x", 5000)}
	check := func(cost int) {
		hash := rawHash(t, "correct horse", cost)
		for _, password := range typed {
			require.InEpsilon(t, 1, ratio(login{hash, password}, login{"", password}, 1), 0.5, "cost %d, %q", cost, password)
		}
	}

	for cost := bcrypt.MinCost; cost <= present; cost++ {
		check(cost)
	}
	require.InEpsilon(t, 2, ratio(login{"", "pa\u0308sswo\u0308rd"}, login{"", "wrong horse"}, 2), 0.5, "two forms, twice the work")

	// The cost was once higher: from the first such hash on nobody costs as much.
	verify(t, passwords, rawHash(t, "correct horse", present+1), "wrong horse")
	for _, cost := range []int{present + 1, bcrypt.MinCost} {
		check(cost)
	}
	fresh := auth.NewPasswords(present, 1, patience)
	before, after := time.Hour, time.Hour
	for range 5 {
		before, after = min(before, workOf(fresh, login{"", "wrong horse"})), min(after, work(login{"", "wrong horse"}))
	}
	require.Greater(t, after, before*5/4)
}
