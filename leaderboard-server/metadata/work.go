package metadata

import (
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// work bounds how often a schema is applied. A schema refers to others for the same value
// (allOf, $ref), and those again, so that a short one may take for ever; and it may refer
// to itself for the values within.
type work struct {
	known map[place]int
	open  map[place]bool // on the way to here
}

// place is a schema that is applied to a value within which there are so many levels.
type place struct {
	schema *jsonschema.Schema
	levels int
}

func checkWork(root *jsonschema.Schema) error {
	w := work{map[place]int{}, map[place]bool{}}
	_, err := w.of(place{root, MaxDepth})
	return err
}

// of is how many rules are applied from here on the way to any one value: at most, as it
// adds up those for different fields. Nothing is counted beyond maxWork.
func (w *work) of(p place) (rules int, err error) {
	if rules, ok := w.known[p]; ok || p.levels < 0 {
		return rules, nil
	}
	if w.open[p] {
		return 0, wrong("", "refers to itself for the same value, which has no end: refer to it for a field or an element")
	}
	w.open[p] = true
	defer delete(w.open, p)

	s := p.schema
	if s.DynamicRef != nil || s.RecursiveRef != nil {
		return 0, wrong("", "has $dynamicRef or $recursiveRef: use $ref")
	}
	rules = 1 + len(s.Required)
	if s.Enum != nil {
		rules += len(s.Enum.Values)
	}
	if s.PropertyNames != nil { // names have nothing within
		if rules, err = w.add(rules, place{s.PropertyNames, 0}); err != nil {
			return 0, err
		}
	}
	for _, same := range sameValue(s) {
		if rules, err = w.add(rules, place{same, p.levels}); err != nil {
			return 0, err
		}
	}
	for _, within := range valuesWithin(s) {
		if rules, err = w.add(rules, place{within, p.levels - 1}); err != nil {
			return 0, err
		}
	}

	w.known[p] = rules
	return rules, nil
}

func (w *work) add(rules int, p place) (int, error) {
	more, err := w.of(p)
	if rules += more; err == nil && rules > maxWork {
		err = wrong("", "is too complex: more than %d of its rules can be applied on the way to one value", maxWork)
	}
	return rules, err
}

// sameValue are the schemas that are applied to the value that a schema is applied to.
func sameValue(s *jsonschema.Schema) (list []*jsonschema.Schema) {
	list = append(append(append(list, s.AllOf...), s.AnyOf...), s.OneOf...)
	for _, d := range s.DependentSchemas {
		list = append(list, d)
	}
	for _, d := range s.Dependencies {
		list = appendSchemas(list, d)
	}
	return appendSchemas(list, s.Ref, s.Not, s.If, s.Then, s.Else)
}

// valuesWithin are those that are applied to fields and elements of it.
func valuesWithin(s *jsonschema.Schema) (list []*jsonschema.Schema) {
	list = append(list, s.PrefixItems...)
	for _, p := range s.Properties {
		list = append(list, p)
	}
	for _, p := range s.PatternProperties {
		list = append(list, p)
	}
	return appendSchemas(list, s.AdditionalProperties, s.UnevaluatedProperties, s.Items, s.AdditionalItems, s.Items2020, s.UnevaluatedItems, s.Contains)
}

// appendSchemas appends what of the values is a schema, or a list of them.
func appendSchemas(list []*jsonschema.Schema, values ...any) []*jsonschema.Schema {
	for _, value := range values {
		switch v := value.(type) {
		case *jsonschema.Schema:
			if v != nil {
				list = append(list, v)
			}
		case []*jsonschema.Schema:
			list = append(list, v...)
		}
	}
	return list
}
