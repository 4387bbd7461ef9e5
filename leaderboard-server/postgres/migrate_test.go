package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every migration from 7 on says which programs it leaves working, and none says one
// that is newer than itself.
func TestMigrationsSayWhatTheyAdmit(t *testing.T) {
	list, err := migrations()
	require.NoError(t, err)
	for _, m := range list {
		if m.version >= 7 {
			require.Positive(t, m.admits, "%d: its first line has to be %q and a version", m.version, admitsMark)
		}
		require.LessOrEqual(t, m.admits, m.version)
	}

	_, err = parseAdmits("-- admits: some\nSELECT 1")
	require.Error(t, err)
}
