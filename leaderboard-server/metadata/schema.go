package metadata

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Bounds of a schema, which together bound what checking an object of [MaxBytes] by it
// takes.
const (
	// MaxSchemaBytes is the longest schema, in bytes without insignificant whitespace.
	MaxSchemaBytes = 8 << 10
	// maxSchemaDepth is how deep its objects and lists may be nested.
	maxSchemaDepth = 32
	// maxPattern is how many instructions a pattern may have: each is looked at once for
	// each byte of a text.
	maxPattern = 1_000
	// maxWork is how many rules may be applied on the way to one value, see [work]. An
	// object of 2 KiB has at most 700 values or so, and a rule takes less than 1 µs.
	maxWork = 1_000
)

// Schema is a JSON Schema. It is safe for concurrent use.
type Schema struct{ compiled *jsonschema.Schema }

// schemaURL is what the schema is called while it is compiled; it is not looked up.
const schemaURL = "schema://board/metadata.json"

// Compile reads a schema: of draft 2020-12, unless $schema names another one. References
// may lead to parts of the schema itself; nothing is loaded from anywhere. The error of a
// schema that is refused says what to write instead.
func Compile(text []byte) (*Schema, error) {
	text, err := compactWithin(text, MaxSchemaBytes)
	if err != nil {
		return nil, err
	}
	if text[0] != '{' {
		return nil, wrong("", "must be an object")
	}
	if err := check(text, maxSchemaDepth); err != nil {
		return nil, err
	}

	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, wrong("", "is not valid JSON")
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(compilePattern)
	if err := c.AddResource(schemaURL, document); err != nil {
		return nil, refusal(err)
	}
	compiled, err := c.Compile(schemaURL)
	if err != nil {
		return nil, refusal(err)
	}

	if err := checkWork(compiled); err != nil {
		return nil, err
	}
	return &Schema{compiled}, nil
}

// noLoader loads nothing.
type noLoader struct{}

// Load implements [jsonschema.URLLoader].
func (noLoader) Load(string) (any, error) {
	return nil, errors.New("only references within the schema are taken, such as #/$defs/car")
}

// compilePattern compiles a pattern, of the syntax of RE2, which takes linear time.
func compilePattern(pattern string) (jsonschema.Regexp, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("patterns are those of RE2, without look-around and back references: %w", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxPattern {
		return nil, fmt.Errorf("the pattern %s is too long, or repeats too much", shorten(pattern))
	}
	return regexp.Compile(pattern)
}

// refusal says why a schema is refused.
func refusal(err error) error {
	var invalid *jsonschema.SchemaValidationError
	var failed *jsonschema.ValidationError
	if errors.As(err, &invalid) && errors.As(invalid.Err, &failed) {
		path, text := first(failed)
		return wrong(path, "is no valid JSON Schema: %s", text)
	}
	return wrong("", "is refused: %s", strings.ReplaceAll(err.Error(), schemaURL, ""))
}

// Check says whether an object, as [Compact] returns it, is as the schema wants. An error is
// an [*Error] about the first value that is not.
func (s *Schema) Check(object string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(object))
	if err != nil {
		return wrong("", "is not valid JSON")
	}

	err = s.compiled.Validate(value)
	var failed *jsonschema.ValidationError
	if errors.As(err, &failed) {
		path, text := first(failed)
		return wrong(path, "is not as the board's schema wants: %s", text)
	}
	return err
}

// maxMessage bounds what is told of one rule, in characters: it may list values.
const maxMessage = 200

// first finds what is told of a failure: of the rules that were broken one that no other is
// to blame for, of the value that comes first, and of several the one with most to say.
func first(failed *jsonschema.ValidationError) (path, text string) {
	var leaves []*jsonschema.ValidationError
	var collect func(*jsonschema.ValidationError)
	collect = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			leaves = append(leaves, e)
		}
		for _, cause := range e.Causes {
			collect(cause)
		}
	}
	collect(failed)

	// The library goes through objects in no order.
	explain := func(e *jsonschema.ValidationError) string {
		if _, never := e.ErrorKind.(*kind.FalseSchema); never {
			return "leave it out"
		}
		return e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
	}
	least := slices.MinFunc(leaves, func(a, b *jsonschema.ValidationError) int {
		return cmp.Or(slices.Compare(a.InstanceLocation, b.InstanceLocation), cmp.Compare(len(explain(b)), len(explain(a))), cmp.Compare(explain(a), explain(b)))
	})

	for _, step := range least.InstanceLocation {
		if strings.Trim(step, "0123456789") == "" {
			path += "[" + shorten(step) + "]"
		} else {
			path += "." + shorten(step)
		}
	}
	text = explain(least)
	if runes := []rune(text); len(runes) > maxMessage {
		text = string(runes[:maxMessage]) + "..."
	}
	return path, text
}
