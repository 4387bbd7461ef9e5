package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Marks in the chart's README between which the table is.
const (
	tableBegin = "<!-- values: written by hack/chartgen from values.yaml -->"
	tableEnd   = "<!-- end of values -->"
)

// value is one line of the table.
type value struct {
	path, fallback, meaning string
}

// addTable writes the values, with their comments, into the chart's README.
func addTable(root string, files map[string][]byte) error {
	source, err := os.ReadFile(filepath.Join(root, chart, "values.yaml"))
	if err != nil {
		return err
	}

	values, err := parseValues(string(source))
	if err != nil {
		return err
	}

	readme, err := os.ReadFile(filepath.Join(root, chart, "README.md"))
	if err != nil {
		return err
	}

	before, rest, found := strings.Cut(string(readme), tableBegin)
	_, after, foundEnd := strings.Cut(rest, tableEnd)
	if !found || !foundEnd {
		return fmt.Errorf("the chart's README.md lacks the lines %q and %q", tableBegin, tableEnd)
	}

	var table strings.Builder
	table.WriteString("\n| value | default | meaning |\n|---|---|---|\n")
	for _, v := range values {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", v.path, v.fallback, strings.ReplaceAll(v.meaning, "|", "\\|"))
	}

	files[filepath.Join(chart, "README.md")] = []byte(before + tableBegin + table.String() + tableEnd + after)
	return nil
}

// parseValues reads values.yaml line by line, as chart authors write it: block
// maps of two spaces, a comment above what it describes. A value with a comment
// and further lines beneath it (resources) is described as a whole.
func parseValues(source string) ([]value, error) {
	var values []value
	var comment []string
	var path []string

	described := -1 // indentation of a map that is described as a whole
	for i, line := range strings.Split(source, "\n") {
		text := strings.TrimSpace(line)
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		if text == "" {
			comment = nil
			continue
		}
		if rest, ok := strings.CutPrefix(text, "#"); ok {
			comment = append(comment, strings.TrimSpace(rest))
			continue
		}

		key, fallback, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("values.yaml:%d: %q is no key and no comment", i+1, text)
		}
		if described >= 0 && depth > described {
			continue
		}

		described = -1
		path = append(path[:depth], key)
		fallback = strings.TrimSpace(fallback)
		meaning := strings.Join(comment, " ")
		comment = nil

		switch {
		case fallback == "" && (meaning == "" || key == "defaultClass"):
			continue // a group; what is in it is described
		case fallback == "":
			described, fallback = depth, "see values.yaml"
		case meaning == "":
			return nil, fmt.Errorf("values.yaml:%d: %s has no comment above it", i+1, strings.Join(path, "."))
		default:
			fallback = "`" + fallback + "`"
		}

		values = append(values, value{strings.Join(path, "."), fallback, meaning})
	}

	return values, nil
}
