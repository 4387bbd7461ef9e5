package httpapi

import (
	"net/http"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"
)

// The server has exactly the calls that the contract has.
func TestRoutesAreTheContract(t *testing.T) {
	document, err := openapi3.NewLoader().LoadFromData(openapiYAML)
	require.NoError(t, err)
	var documented, routed []string

	for path, item := range document.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}

	api, err := New(Options{})
	require.NoError(t, err)
	require.NoError(t, chi.Walk(api.router, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routed = append(routed, method+" "+path)
		return nil
	}))

	require.NotEmpty(t, documented)
	require.ElementsMatch(t, documented, routed)
}
