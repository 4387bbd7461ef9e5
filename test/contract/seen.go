package contract

import (
	"fmt"
	"mime"
	"net/http"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// note remembers what of the document an exchange has shown.
func (c *Contract) note(call *call, answer *http.Response) {
	operation, request := call.input.Route.Operation, call.input.Request
	media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	c.mu.Lock()
	defer c.mu.Unlock()

	c.seen[answered(operation, answer.StatusCode, media)] = true
	for name := range answer.Header {
		c.seen[withHeader(operation, answer.StatusCode, name)] = true
	}

	if answer.StatusCode >= http.StatusBadRequest {
		return
	}

	// What was accepted shows which parameters and bodies are.
	for name := range request.URL.Query() {
		c.seen[accepted(operation, openapi3.ParameterInQuery, name)] = true
	}
	for name := range request.Header {
		c.seen[accepted(operation, openapi3.ParameterInHeader, name)] = true
	}
	media, _, _ = mime.ParseMediaType(request.Header.Get("Content-Type"))
	c.seen[accepted(operation, "body", media)] = true
}

func answered(operation *openapi3.Operation, status any, media string) string {
	return fmt.Sprintf("%s: an answer %v %s", operation.OperationID, status, media)
}

func withHeader(operation *openapi3.Operation, status any, name string) string {
	return fmt.Sprintf("%s: an answer %v with the header %s", operation.OperationID, status, name)
}

func accepted(operation *openapi3.Operation, in, name string) string {
	return fmt.Sprintf("%s: a request with the %s %s", operation.OperationID, in, name)
}

// Unseen lists what is documented and has not been seen: the statuses, media types and
// headers of answers; the parameters and media types of requests that were accepted.
func (c *Contract) Unseen() []string {
	c.underWay.Wait() // an answer may be there before it has been checked
	c.mu.Lock()
	defer c.mu.Unlock()

	var unseen []string
	want := func(key string) {
		if !c.seen[key] {
			unseen = append(unseen, key)
		}
	}

	for _, item := range c.document.Paths.Map() {
		for _, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				for media := range response.Value.Content {
					want(answered(operation, status, media))
				}
				if len(response.Value.Content) == 0 {
					want(answered(operation, status, ""))
				}
				for name := range response.Value.Headers {
					want(withHeader(operation, status, name))
				}
			}

			for _, parameter := range operation.Parameters {
				if parameter.Value.In != openapi3.ParameterInPath { // those are always there
					want(accepted(operation, parameter.Value.In, parameter.Value.Name))
				}
			}
			if operation.RequestBody != nil {
				for media := range operation.RequestBody.Value.Content {
					want(accepted(operation, "body", media))
				}
			}
		}
	}

	slices.Sort(unseen)
	return unseen
}
