package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// general are the headers that any answer may have: those of HTTP itself, those that
// tell browsers what not to do, and CORS.
var general = []string{
	"Allow", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Pragma", "Transfer-Encoding", "Vary",
	"Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options",
	"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
}

// checkAnswer says what of the answer is not documented.
func (c *call) checkAnswer(answer *http.Response, received []byte) error {
	ref := c.input.Route.Operation.Responses.Status(answer.StatusCode)
	if ref == nil {
		return errors.New("the status is not documented")
	}

	response := ref.Value
	var errs []error
	for name := range answer.Header {
		if _, documented := response.Headers[name]; !documented && !slices.Contains(general, name) {
			errs = append(errs, fmt.Errorf("the header %s is not documented", name))
		}
	}

	withoutBody := c.method == http.MethodHead || len(response.Content) == 0
	if withoutBody && len(received) > 0 {
		errs = append(errs, errors.New("a body is not documented"))
	}

	media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	for _, document := range linesOf(answer.Header, received) {
		if !withoutBody && strings.HasSuffix(media, "json") && !json.Valid(document) {
			errs = append(errs, errors.New("the body is not valid JSON"))
		}
		errs = append(errs, c.validate(ref, answer.Header, document, withoutBody))
	}
	return errors.Join(errs...)
}

// validate has the validator look at an answer. It looks at no 304, not even at its headers,
// so each answer is given to it as a 200 of a call that documents nothing else.
func (c *call) validate(response *openapi3.ResponseRef, header http.Header, received []byte, withoutBody bool) error {
	input, route, operation, with := *c.input, *c.input.Route, *c.input.Route.Operation, *options
	operation.Responses = openapi3.NewResponses(openapi3.WithStatus(http.StatusOK, response))
	route.Operation, input.Route = &operation, &route
	with.ExcludeResponseBody = withoutBody

	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{RequestValidationInput: &input,
		Status: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(received)), Options: &with})
}

// checkVerdict holds what the server made of the request to what the document does.
func (c *call) checkVerdict(answer *http.Response, received []byte) error {
	if c.invalid == nil {
		return c.checkRefusals(answer, received)
	}
	if answer.StatusCode < http.StatusBadRequest {
		return fmt.Errorf("the server accepted a request that is not documented: %w", c.invalid)
	}
	return nil
}

func (c *call) checkRefusals(answer *http.Response, received []byte) error {
	id := c.input.Route.Operation.OperationID
	for _, refused := range refusals(answer, received) {
		field, _, _ := strings.Cut(refused, ".")
		if !slices.Contains(unsaid[id], field) {
			return fmt.Errorf("the server refused a request that is documented: %s %s", id, refused)
		}
	}
	return nil
}

// unsaid are the fields and parameters, by call, that may be refused although they are
// as their schema says, since they depend on each other, on the boards of the game, or on
// what no schema can say. The document has it in prose.
var unsaid = map[string][]string{
	"register":       {"username", "password", "attributes"}, // the characters; bytes, not characters; what the game has
	"setAttributes":  {"attributes"},
	"token":          {"username", "password"}, // both, or refresh_token alone
	"rename":         {"username"},
	"changePassword": {"new_password"},
	"logInDevice":    {"device_secret"},                         // how many different characters
	"linkLogin":      {"password", "device_secret", "id_token"}, // one of them
	"resetPassword":  {"reset_token", "new_password"},           // one that is good
	"eraseOwn":       {"password"},                              // where the account has one
	"history":        {"cursor", "season"},
	// global may take none; whose token it is; those that the board has, and what it takes; what a
	// signature consists of, and covers.
	"submitScore":   {"game_id", "user_id", "external_id", "owner_id", "owner_name", "columns", "metadata", "Signature-Input", "Signature", "Content-Digest", "Idempotency-Key"},
	"topPlayers":    {"start_date", "end_date", "time_zone"}, // the order and length of the range; names of zones
	"boardEntries":  {"cursor", "from_rank", "min_score", "season"},
	"entriesAround": {"player", "season"},         // one of player and score
	"listEntries":   {"players"},                  // players that there are, each once however it is spelt
	"setOwner":      {"owner_name", "attributes"}, // the characters; what the game has
}

// refusals are the fields of a problem that is about the form of the request; its kind,
// if it names none.
func refusals(answer *http.Response, received []byte) []string {
	if answer.Header.Get("Content-Type") != "application/problem+json" {
		return nil
	}
	var problem struct {
		Type   string
		Errors []struct{ Field string }
	}
	if json.Unmarshal(received, &problem) != nil {
		return nil // checkAnswer says so
	}

	kind := problem.Type[strings.LastIndex(problem.Type, "/")+1:]
	switch {
	case kind == "malformed-request" && len(problem.Errors) > 0:
		return nil // a field that is there twice, which the validator's JSON does not see
	case len(problem.Errors) == 0 && (kind == "malformed-request" || kind == "unsupported-media-type"):
		return []string{kind}
	case kind != "invalid-request" && kind != "unsupported-media-type":
		return nil
	}

	var fields []string
	for _, e := range problem.Errors {
		name, _, _ := strings.Cut(e.Field, "[")
		fields = append(fields, name)
	}
	return fields
}

// checkOutside is for requests of which the document has no call.
func (c *Contract) checkOutside(request *http.Request, answer *http.Response, received []byte) error {
	switch {
	case request.Method == http.MethodOptions && answer.StatusCode == http.StatusNoContent:
		return nil // a browser asks before it calls
	case answer.StatusCode != http.StatusNotFound && answer.StatusCode != http.StatusMethodNotAllowed:
		return errors.New("the document has no such call")
	case request.Method == http.MethodHead:
		return nil
	}

	var problem any
	if err := json.Unmarshal(received, &problem); err != nil {
		return err
	}
	return c.document.Components.Schemas["Problem"].Value.VisitJSON(problem, append(options.SchemaValidationOptions, openapi3.EnableJSONSchema2020())...)
}
