package endpoint_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// While a secret takes the place of another one, messages are signed with both.
func TestASecretTakesThePlaceOfAnother(t *testing.T) {
	first := endpoint.Endpoint{Name: "results"}.Issue(noon)
	require.Len(t, first.Signing(noon), 1)
	require.True(t, endpoint.WellFormed(first.Newest().Value))
	same, changed := first.Supersede(noon)
	require.False(t, changed)
	require.Equal(t, first, same)

	both := first.Issue(noon.Add(time.Hour))
	require.Equal(t, []string{first.Newest().Value, both.Newest().Value}, both.Signing(noon.Add(time.Hour)))
	require.NotEqual(t, first.Newest().Value, both.Newest().Value)
	require.Len(t, first.Secrets, 1, "it is not changed")

	superseded, changed := both.Supersede(noon.Add(25 * time.Hour))
	require.True(t, changed)
	require.Len(t, superseded.Signing(noon.Add(25*time.Hour-time.Second)), 2)
	require.Equal(t, []string{both.Newest().Value}, superseded.Signing(noon.Add(25*time.Hour)))
	require.Len(t, superseded.Prune(noon.Add(25*time.Hour)).Secrets, 1)
	later, changed := superseded.Supersede(noon.Add(99 * time.Hour))
	require.False(t, changed, "an end stays")
	require.Equal(t, superseded, later)

	for range 2 * endpoint.MaxSecrets {
		both = both.Issue(noon)
	}
	require.Len(t, both.Secrets, endpoint.MaxSecrets)
	require.NotContains(t, fmt.Sprintf("%v %+v %s", both, both, both.Newest()), both.Newest().Value)
}

func TestTheFileIsReadAsItIsWritten(t *testing.T) {
	set := endpoint.Set{Endpoints: []endpoint.Endpoint{endpoint.Endpoint{Name: "results", URL: "https://example.com/", Events: []string{"SeasonClosed"}, Top: 3}.Issue(noon)}}
	file, err := set.Marshal()
	require.NoError(t, err)
	again, err := endpoint.Parse(file)
	require.NoError(t, err)
	require.Equal(t, set, again)
	_, known := again.Lookup("others")
	require.False(t, known)
	empty, err := endpoint.Set{}.Marshal()
	require.NoError(t, err)
	require.JSONEq(t, `{"webhooks": []}`, string(empty))

	secret := set.Endpoints[0].Newest().Value
	for file, message := range map[string]string{
		``: "is not {", `[]`: "is not {", `{"webhooks": [{"uri": "x"}]}`: "is not {", `{"webhooks": "` + secret + `"}`: "is not {",
		`{"authorities": "none", "webhooks": []}`:                                                                "no certificate",
		`{"webhooks": [{"name": "A"}]}`:                                                                          "name of webhook 1",
		`{"webhooks": [{"name": "../a"}]}`:                                                                       "name of webhook 1",
		`{"webhooks": [{"name": "a"}, {"name": "a"}]}`:                                                           "is there twice",
		`{"webhooks": [{"name": "a", "top": 101}]}`:                                                              "from 0 to 100",
		`{"webhooks": [{"name": "a", "top": -1}]}`:                                                               "from 0 to 100",
		`{"webhooks": [{"name": "a", "secrets": [{"secret": "whsec_c2hvcnQ="}]}]}`:                               "24 to 64 bytes",
		`{"webhooks": [{"name": "a", "secrets": [{"secret": "` + strings.TrimPrefix(secret, "whsec_") + `"}]}]}`: "whsec_",
		`{"webhooks": [` + strings.Repeat(`{"name": "a"},`, endpoint.MaxEndpoints) + `{"name": "b"}]}`:           "at most 8",
	} {
		_, err := endpoint.Parse([]byte(file))
		require.ErrorContains(t, err, message, file)
		require.NotContains(t, err.Error(), secret)
	}
}
