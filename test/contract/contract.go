// Package contract holds what is sent to a server, and what it answers, to the OpenAPI
// document of the API.
//
// Of each exchange:
//
//   - The answer is one that the call documents: its status, its media type, its body to
//     the last field, and its headers.
//   - A request that the server accepts (a status below 400) is one that the call
//     documents, so one that it does not document is refused. What the server promises
//     to put up with besides is in [lenient].
//   - A request whose form the server refuses (malformed-request, invalid-request,
//     unsupported-media-type) is one that the call does not document. What a schema
//     cannot say is in [unsaid].
package contract

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// Contract is an OpenAPI document, and what of it has been seen. Its methods may be used
// concurrently.
type Contract struct {
	document *openapi3.T
	router   routers.Router

	// underWay are the exchanges of Handler that are not checked yet.
	underWay sync.WaitGroup
	mu       sync.Mutex
	seen     map[string]bool
}

// Load reads the document in a file.
func Load(path string) (*Contract, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(file)
}

// Parse reads a document.
func Parse(text []byte) (*Contract, error) {
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if err := document.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	if err := prepare(document); err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}

	router, err := legacy.NewRouter(document)
	if err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}

	return &Contract{document: document, router: router, seen: map[string]bool{}}, nil
}

// prepare makes the documented answers strict. The document lets them get further fields,
// which clients ignore; a server has none that are not documented. And it writes the names
// of headers as net/http does.
func prepare(document *openapi3.T) error {
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			for _, response := range operation.Responses.Map() {
				headers := openapi3.Headers{}
				for name, header := range response.Value.Headers {
					headers[http.CanonicalHeaderKey(name)] = header
				}
				response.Value.Headers = headers

				for _, content := range response.Value.Content {
					if err := content.Schema.WalkSubtree(closeObject); err != nil {
						return err
					}
				}
			}
		}
	}

	return nil
}

func closeObject(_ string, schema *openapi3.SchemaRef) error {
	if schema.Value.Type.Is(openapi3.TypeObject) && schema.Value.AdditionalProperties.Has == nil && schema.Value.AdditionalProperties.Schema == nil {
		closed := false
		schema.Value.AdditionalProperties.Has = &closed
	}
	return nil
}

// Check says what of a request and its answer is not as the document says: sent and
// received are their bodies.
func (c *Contract) Check(request *http.Request, sent []byte, answer *http.Response, received []byte) error {
	call := c.find(request, withoutRefused(request, sent, answer, received)...)
	var err error
	if call == nil {
		err = c.checkOutside(request, answer, received)
	} else {
		err = errors.Join(call.checkAnswer(answer, received), call.checkVerdict(answer, received))
		c.note(call, answer)
	}
	if err != nil {
		return fmt.Errorf("%s %s %q, answered %d %q: %w", request.Method, request.URL.RequestURI(), sent, answer.StatusCode, received, err)
	}
	return nil
}
