package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

const classCRD = "games.leaderboard.dev_leaderboardclasses.yaml"

// addSchema writes values.schema.json from the base and the CRD.
func addSchema(root string, files map[string][]byte) error {
	spec, err := classSpec(root)
	if err != nil {
		return err
	}

	source, err := os.ReadFile(filepath.Join(root, schemaBase))
	if err != nil {
		return err
	}

	base := map[string]any{}
	if err := yaml.Unmarshal(source, &base); err != nil {
		return fmt.Errorf("parse %s: %w", schemaBase, err)
	}

	delete(base, "definitions") // they were for YAML's anchors
	resolved, err := resolve(base, spec)
	if err != nil {
		return err
	}

	base = resolved.(map[string]any)
	base["$comment"] = generated
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(base); err != nil {
		return fmt.Errorf("encode: %w", err)
	}

	files[filepath.Join(chart, "values.schema.json")] = out.Bytes()
	return nil
}

// classSpec returns the schemas of the fields of a LeaderboardClass's spec.
func classSpec(root string) (map[string]any, error) {
	source, err := os.ReadFile(filepath.Join(root, crdFolder, classCRD))
	if err != nil {
		return nil, err
	}

	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties map[string]struct {
							Properties map[string]any `json:"properties"`
						} `json:"properties"`
					} `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}

	if err := yaml.Unmarshal(source, &crd); err != nil {
		return nil, fmt.Errorf("parse %s: %w", classCRD, err)
	}
	if len(crd.Spec.Versions) != 1 {
		return nil, errors.New("the CRD has more than one version: say here which one the chart writes")
	}

	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties, nil
}

// resolve replaces every {$crd: field} in the schema.
func resolve(schema any, spec map[string]any) (any, error) {
	switch schema := schema.(type) {
	case map[string]any:
		if field, ok := schema["$crd"].(string); ok {
			found, ok := spec[field]
			if !ok {
				return nil, fmt.Errorf("the spec of a LeaderboardClass has no field %s", field)
			}
			return jsonSchema(found), nil
		}
		for key, value := range schema {
			resolved, err := resolve(value, spec)
			if err != nil {
				return nil, err
			}
			schema[key] = resolved
		}
	case []any:
		for i, value := range schema {
			resolved, err := resolve(value, spec)
			if err != nil {
				return nil, err
			}
			schema[i] = resolved
		}
	}
	return schema, nil
}

// jsonSchema turns a CRD's schema into a JSON schema: unknown fields are
// refused, and nothing is required (the base says when it is).
func jsonSchema(schema any) any {
	source, ok := schema.(map[string]any)
	if !ok {
		return schema
	}

	out := map[string]any{}
	for key, value := range source {
		switch key {
		case "required", "default", "format", "description":
		case "properties":
			properties := map[string]any{}
			for name, property := range value.(map[string]any) {
				properties[name] = jsonSchema(property)
			}
			out[key], out["additionalProperties"] = properties, false
		case "items", "additionalProperties":
			out[key] = jsonSchema(value)
		default:
			if !strings.HasPrefix(key, "x-kubernetes-") {
				out[key] = value
			}
		}
	}

	return out
}
