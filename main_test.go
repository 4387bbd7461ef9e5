package main

import (
	"bytes"
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"version"}, &out, &out))
	require.Equal(t, version+"\n", out.String())
}

// Wrong settings are refused before anything is started, in words that say what
// to set.
func TestWrongSettings(t *testing.T) {
	t.Setenv("KUBECONFIG", "testdata/no-such-file")
	for _, test := range []struct {
		args    []string
		message string
	}{
		{[]string{"-log-level", "loud"}, "use debug, info, warn or error"},
		{[]string{"-log-format", "xml"}, "use json or text"},
		{[]string{"serve"}, "unexpected argument"},
		{[]string{"-resync", "soon"}, "invalid value"},
		{[]string{"-no-such-flag"}, "flag provided but not defined"},
	} {
		var out bytes.Buffer
		require.ErrorContains(t, run(t.Context(), test.args, &out, &out), test.message)
	}

	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"-h"}, &out, &out), flag.ErrHelp)
	for _, name := range []string{"-leader-elect", "-cluster-id", "-controller-name", "-namespace", "-metrics-secure"} {
		require.Contains(t, out.String(), name)
	}
}
