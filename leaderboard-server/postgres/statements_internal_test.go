package postgres

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Games without segments run statements that know nothing of them, and those whose boards do
// not bound improvements, or limit submissions, none that know of that.
func TestStatementsKnowNothingOfWhatABatchDoesNotHave(t *testing.T) {
	for _, s := range []appendStatement{appendAny, appendOrdered} {
		for form, text := range s {
			_, body, _ := strings.Cut(text, "\nWITH ")
			require.NotContains(t, body, "/*")
			require.Equal(t, form.segments, strings.Contains(body, "segment"))
			require.Equal(t, form.metadata, strings.Contains(body, "event_metadata"))
			if !form.bounds {
				require.NotContains(t, body, "max_improvement")
				require.NotContains(t, body, "review")
				require.NotContains(t, body, "checkpoint")
			}
			if !form.limits {
				require.NotContains(t, body, "submission_counts")
				require.NotContains(t, body, "limit-exceeded")
			}
		}
	}
	require.Contains(t, appendOrdered[appendForm{bounds: true}], "max_improvement")
	require.Contains(t, appendOrdered[appendForm{limits: true}], "submission_counts")
}
