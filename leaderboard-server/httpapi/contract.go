package httpapi

import (
	"bytes"
	_ "embed" // the contract
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

//go:embed openapi.yaml
var openapiYAML []byte

// contractMaxAge is how long caches may keep the contract: another version of the server
// may have another.
const contractMaxAge = time.Minute

// documentedPageSize is what openapi.yaml says of page_size.
const documentedPageSize = "maximum: 100, default: 10}"

// newContract returns the OpenAPI document with the largest page_size of this server.
func newContract(maxPageSize int) (asYAML, asJSON document, err error) {
	if bytes.Count(openapiYAML, []byte(documentedPageSize)) != 1 {
		return asYAML, asJSON, errors.New("the embedded OpenAPI document has no page_size, or several")
	}
	pageSize := fmt.Sprintf("maximum: %d, default: %d}", maxPageSize, min(leaderboard.DefaultPageSize, maxPageSize))
	text := bytes.Replace(openapiYAML, []byte(documentedPageSize), []byte(pageSize), 1)

	var content map[string]any
	if err := yaml.Unmarshal(text, &content); err != nil {
		return asYAML, asJSON, fmt.Errorf("read the embedded OpenAPI document: %w", err)
	}
	encoded, err := json.Marshal(content)
	if err != nil {
		return asYAML, asJSON, fmt.Errorf("write the OpenAPI document as JSON: %w", err)
	}

	return newDocument(text), newDocument(encoded), nil
}
