package httpapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// The page for users has exactly the kinds of problems that there are, with
// their statuses.
func TestEveryProblemIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/problems.md")
	require.NoError(t, err)
	documented := map[string]string{}

	for _, m := range regexp.MustCompile(`(?m)^## ([a-z-]+)\n\n([0-9]{3})\. `).FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = m[2]
	}

	source, err := os.ReadFile("problem.go")
	require.NoError(t, err)
	existing := map[string]string{}
	statuses := map[string]string{"StatusBadRequest": "400", "StatusUnprocessableEntity": "422", "StatusUnauthorized": "401", "StatusForbidden": "403",
		"StatusNotFound": "404", "StatusMethodNotAllowed": "405", "StatusConflict": "409", "StatusGone": "410", "StatusRequestEntityTooLarge": "413",
		"StatusUnsupportedMediaType": "415", "StatusTooManyRequests": "429", "StatusInternalServerError": "500", "StatusServiceUnavailable": "503"}

	for _, m := range regexp.MustCompile(`kind\{"([a-z-]+)", http\.(\w+),`).FindAllStringSubmatch(string(source), -1) {
		existing[m[1]] = statuses[m[2]]
	}

	require.NotEmpty(t, existing)
	require.Equal(t, existing, documented)
}

// What is not meant for users stays in the log.
func TestCausesStayInside(t *testing.T) {
	for _, err := range []error{
		errors.New("dial tcp 10.1.2.3: secret"),
		leaderboard.Errorf(leaderboard.CodeInternal, "", "secret"),
		leaderboard.Errorf(leaderboard.CodeUnavailable, "", "try again").WithCause(errors.New("secret")),
		leaderboard.Errorf("a new code", "", "secret"),
	} {
		w := httptest.NewRecorder()
		fail(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), err)
		require.GreaterOrEqual(t, w.Code, 500)
		require.NotContains(t, w.Body.String(), "secret")
	}
}
