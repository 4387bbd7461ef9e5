package metadata_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/metadata"
)

const carSchema = `{
	"type": "object",
	"required": ["car"],
	"additionalProperties": false,
	"properties": {
		"car": {"type": "string", "maxLength": 8, "pattern": "^[a-z]+$"},
		"level": {"type": "integer", "minimum": 1, "maximum": 99},
		"parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "maxItems": 3},
		"gear": {"enum": ["auto", "manual"]}
	},
	"$defs": {"part": {"type": "object", "properties": {"id": {"type": "integer"}, "with": {"$ref": "#/$defs/part"}}}}
}`

func TestSchema(t *testing.T) {
	schema, err := metadata.Compile([]byte(carSchema))
	require.NoError(t, err)
	for _, good := range []string{`{"car":"gt"}`, `{"car":"gt","level":99.0,"gear":"auto","parts":[{"id":1,"with":{"id":2,"with":{}}}]}`} {
		require.NoError(t, schema.Check(good), good)
	}

	for _, c := range []struct{ object, path, message string }{
		{`{}`, "", "missing property 'car'"},
		{`{"car":7}`, ".car", "got number, want string"},
		{`{"car":"GT"}`, ".car", "'GT' does not match pattern '^[a-z]+$'"},
		{`{"car":"roadsters"}`, ".car", "maxLength: got 9, want 8"},
		{`{"car":"gt","level":0}`, ".level", "minimum: got 0, want 1"},
		{`{"car":"gt","level":1.5}`, ".level", "got number, want integer"},
		{`{"car":"gt","gear":"x"}`, ".gear", "value must be one of 'auto', 'manual'"},
		{`{"car":"gt","color":"red"}`, "", "additional properties 'color' not allowed"},
		{`{"car":"gt","parts":[{"id":1},{"id":"x"}]}`, ".parts[1].id", "got string, want integer"},
		{`{"car":"gt","parts":[{"with":{"id":"x"}}]}`, ".parts[0].with.id", "got string, want integer"},
		{`{"level":0,"gear":1,"car":7}`, ".car", "got number, want string"}, // the first of several
	} {
		var wrong *metadata.Error
		for range 5 { // the library goes through objects in no order
			require.ErrorAs(t, schema.Check(c.object), &wrong, c.object)
			require.Equal(t, c.path, wrong.Path, c.object)
			require.Equal(t, "is not as the board's schema wants: "+c.message, wrong.Message, c.object)
		}
	}

	not, err := metadata.Compile([]byte(`{"properties": {"cheat": false}}`))
	require.NoError(t, err)
	require.ErrorContains(t, not.Check(`{"cheat":1}`), "leave it out")
}

func TestDrafts(t *testing.T) {
	// Of draft 7 the items of a list may be a list of schemas; of 2020-12 those are prefixItems.
	draft7, err := metadata.Compile([]byte(`{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"items": [{"type": "string"}]}}}`))
	require.NoError(t, err)
	require.Error(t, draft7.Check(`{"a":[1]}`))
	_, err = metadata.Compile([]byte(`{"properties": {"a": {"items": [{"type": "string"}]}}}`))
	require.ErrorContains(t, err, "the value.properties.a.items is no valid JSON Schema")
}

func TestCompileRefuses(t *testing.T) {
	doubling := `"l0": {"type": "object"}`
	for i := range 40 {
		doubling += fmt.Sprintf(`, "l%d": {"allOf": [{"$ref": "#/$defs/l%d"}, {"$ref": "#/$defs/l%d"}]}`, i+1, i, i)
	}
	for name, c := range map[string]struct{ schema, message string }{
		"no JSON":                  {`{`, "is not valid JSON"},
		"no object":                {`true`, "must be an object"},
		"too long":                 {`{"description":"` + strings.Repeat("x", metadata.MaxSchemaBytes) + `"}`, "at most 8192 are taken"},
		"too deep":                 {strings.Repeat(`{"not":`, 40) + "{}" + strings.Repeat("}", 40), "is nested too deep"},
		"a name twice":             {`{"type":"object","type":"string"}`, "type is there twice"},
		"no schema":                {`{"properties":{"a":{"type":"text"}}}`, ".properties.a.type is no valid JSON Schema"},
		"a file":                   {`{"$ref":"file:///etc/passwd"}`, "only references within the schema"},
		"a path":                   {`{"$ref":"other.json"}`, "is refused"},
		"a host":                   {`{"properties":{"a":{"$ref":"https://example.com/car.json"}}}`, "only references within the schema"},
		"a host as $schema":        {`{"$schema":"https://example.com/draft"}`, "only references within the schema"},
		"a host as $id":            {`{"$id":"https://example.com/car.json","$ref":"wheel.json"}`, "only references within the schema"},
		"nothing there":            {`{"$ref":"#/$defs/none"}`, "is refused"},
		"look-around":              {`{"properties":{"a":{"pattern":"(?=x)"}}}`, "pattern"},
		"a pattern that repeats":   {`{"properties":{"a":{"pattern":"` + strings.Repeat("[a-z]{200}", 20) + `"}}}`, "pattern"},
		"itself":                   {`{"$ref":"#"}`, "refers to itself for the same value"},
		"itself by another":        {`{"$defs":{"a":{"anyOf":[{"$ref":"#"}]}},"allOf":[{"$ref":"#/$defs/a"}]}`, "refers to itself for the same value"},
		"twice as much each step":  {`{"$defs": {` + doubling + `}, "$ref": "#/$defs/l40"}`, "is too complex"},
		"a tree of eight":          {`{"properties":{` + strings.TrimSuffix(strings.Repeat(`"NAME":{"$ref":"#"},`, 8), ",") + `}}`, "is too complex"},
		"a long list":              {`{"properties":{"a":{"enum":[` + strings.TrimSuffix(strings.Repeat("NAME,", 1001), ",") + `]}}}`, "is too complex"},
		"what is found as it goes": {`{"properties":{"a":{"$dynamicRef":"#x"}},"$dynamicAnchor":"x"}`, "$dynamicRef"},
		"a number without end":     {`{"properties":{"a":{"maximum":1e999999999}}}`, "an exponent beyond 308"},
	} {
		schema := c.schema
		for i := 0; strings.Contains(schema, "NAME"); i++ {
			schema = strings.Replace(schema, "NAME", fmt.Sprint(i), 1)
		}
		begun := time.Now()
		_, err := metadata.Compile([]byte(schema))
		require.ErrorContains(t, err, c.message, name)
		require.Less(t, time.Since(begun), time.Minute, name) // it would never end
	}
}

// What is sent decides nothing of how long checking takes: each of these would take seconds
// and more if numbers were not bounded, or patterns went back.
func TestCheckingIsBounded(t *testing.T) {
	schema, err := metadata.Compile([]byte(`{"properties": {"text": {"pattern": "^(a+)+$"}, "numbers": {"uniqueItems": true, "items": {"multipleOf": 0.01}}},
		"additionalProperties": {"$ref": "#"}}`))
	require.NoError(t, err)
	begun := time.Now()
	require.Error(t, schema.Check(`{"text":"`+strings.Repeat("a", 2000)+`!"}`))
	numbers, err := metadata.Compact([]byte(`{"numbers":[` + strings.TrimSuffix(strings.Repeat("1e308,", 330), ",") + `]}`))
	require.NoError(t, err)
	require.Error(t, schema.Check(numbers), "they are equal")
	require.Less(t, time.Since(begun), time.Minute)
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{carSchema, `{"$ref":"#"}`, `{"$ref":"https://example.com"}`, `{"pattern":"(a+)+"}`, `{"$id":"a","$anchor":"b","$ref":"#b"}`, `{"if":{},"then":false,"else":true}`} {
		f.Add(seed, `{"car":"gt"}`)
	}
	f.Fuzz(func(t *testing.T, text, object string) {
		schema, err := metadata.Compile([]byte(text))
		if err != nil {
			return
		}
		if compact, err := metadata.Compact([]byte(object)); err == nil {
			_ = schema.Check(compact)
		}
	})
}
