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
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// call is a request for a call that is documented.
type call struct {
	method string // HEAD, where input's is GET
	input  *openapi3filter.RequestValidationInput
	// invalid says why the request is none that the call documents, if it is not.
	invalid error
}

// find returns the call that the request is for; nil if the document has none. A request that
// has a document a line has each as a body.
func (c *Contract) find(request *http.Request, bodies ...[]byte) (found *call) {
	for _, sent := range bodies {
		one := c.findOne(request, sent)
		if one == nil {
			return nil
		}
		if found == nil {
			found = one
		}
		found.invalid = errors.Join(found.invalid, one.invalid)
	}
	return found
}

func (c *Contract) findOne(request *http.Request, sent []byte) *call {
	sent = bytes.TrimPrefix(sent, []byte("\ufeff"))
	r := lenient(request, sent)
	if r.Method == http.MethodHead { // what GET answers, without its body
		r.Method = http.MethodGet
	}

	route, parameters, err := c.router.FindRoute(r)
	if err != nil {
		return nil
	}

	input := &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route, Options: options}
	invalid := errors.Join(checkText(r, sent), checkQuery(r.URL.RawQuery, route), openapi3filter.ValidateRequest(context.Background(), input))
	return &call{method: request.Method, input: input, invalid: invalid}
}

// lenient returns the request without what the server promises to ignore: a byte order
// mark before a JSON body, and the parameter _ that some clients add so that no cache
// answers. The router takes the slash at the end of a path, as the server does.
func lenient(request *http.Request, sent []byte) *http.Request {
	r := request.Clone(context.Background())
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(bytes.NewReader(sent)), int64(len(sent)), nil

	// The document's server is "/".
	r.URL = &url.URL{Path: request.URL.Path, RawPath: request.URL.RawPath}
	pairs := strings.Split(request.URL.RawQuery, "&")
	r.URL.RawQuery = strings.Join(slices.DeleteFunc(pairs, func(pair string) bool { return strings.HasPrefix(pair, "_=") }), "&")

	return r
}

// options let the validator check what it leaves out by default.
var options = &openapi3filter.Options{
	AuthenticationFunc:    authenticated,
	IncludeResponseStatus: true,
	MultiError:            true,
	SkipSettingDefaults:   true,
	SchemaValidationOptions: []openapi3.SchemaValidationOption{
		openapi3.WithStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator("^(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")),
		openapi3.WithStringFormatValidator("uri", openapi3.NewCallbackValidator(func(text string) error {
			uri, err := url.Parse(text)
			if err == nil && !uri.IsAbs() {
				err = fmt.Errorf("%q is no absolute URI", text)
			}
			return err
		})),
	},
}

var bearer = regexp.MustCompile(`^(?i:bearer) +\S+$`)

// authenticated is how both security schemes of the document want a token.
func authenticated(_ context.Context, input *openapi3filter.AuthenticationInput) error {
	values := input.RequestValidationInput.Request.Header.Values("Authorization")
	if len(values) != 1 || !bearer.MatchString(values[0]) {
		return errors.New("there is no access token")
	}
	return nil
}

// checkText says what is no text or no JSON, of which the validator takes some.
func checkText(r *http.Request, sent []byte) error {
	switch media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case !utf8.ValidString(r.URL.Path):
		return errors.New("the path is not valid UTF-8")
	case !utf8.Valid(sent):
		return errors.New("the body is not valid UTF-8")
	case media == "application/json" && !json.Valid(sent):
		return errors.New("the body is not valid JSON")
	}
	return nil
}

var decimal = regexp.MustCompile(`^-?[0-9]+$`)

// checkQuery says which parameters are not documented, there more than once, or written
// as no client should, which the validator does not look for.
func checkQuery(query string, route *routers.Route) error {
	values, err := url.ParseQuery(query)
	errs := []error{err}
	for name, value := range values {
		parameter := route.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name)
		switch {
		case parameter == nil:
			errs = append(errs, fmt.Errorf("the parameter %q is not documented", name))
		case len(value) > 1:
			errs = append(errs, fmt.Errorf("the parameter %q is there %d times", name, len(value)))
		case !utf8.ValidString(value[0]):
			errs = append(errs, fmt.Errorf("the parameter %q is not valid UTF-8", name))
		case parameter.Schema.Value.Type.Is(openapi3.TypeInteger) && !decimal.MatchString(value[0]):
			errs = append(errs, fmt.Errorf("the parameter %q is no integer", name))
		}
	}
	return errors.Join(errs...)
}
