package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// role is what a ClusterRole or Role has that matters here.
type role struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
	Rules []map[string]any `json:"rules"`
}

// Names in config/rbac.
const (
	operatorName      = "leaderboard-operator"
	operatorNamespace = "leaderboard-system"
)

// addRoles turns the roles of config/rbac into templates.
func addRoles(root string, files map[string][]byte) error {
	for target, source := range map[string]struct {
		condition string
		files     []string
	}{
		"templates/roles.yaml":      {".Values.rbac.create", []string{"role.yaml"}},
		"templates/user-roles.yaml": {".Values.rbac.aggregateToUserRoles", []string{"leaderboard_editor_role.yaml", "leaderboard_viewer_role.yaml"}},
	} {
		var out strings.Builder
		fmt.Fprintf(&out, "{{- /* %s */ -}}\n{{- if %s }}\n", generated, source.condition)
		first := true

		for _, file := range source.files {
			content, err := os.ReadFile(filepath.Join(root, rbacFolder, file))
			if err != nil {
				return err
			}
			for _, document := range bytes.Split(content, []byte("\n---\n")) {
				if !first {
					out.WriteString("---\n")
				}
				first = false
				if err := writeRole(&out, document, files); err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
			}
		}

		out.WriteString("{{- end }}\n")
		files[filepath.Join(chart, target)] = []byte(out.String())
	}
	return nil
}

// writeRole writes a template, and into files the rules that it includes.
func writeRole(out *strings.Builder, document []byte, files map[string][]byte) error {
	var r role
	// Strictly: what is not known here would be lost.
	if err := yaml.UnmarshalStrict(document, &r); err != nil {
		return fmt.Errorf("parse: %w", err)
	}

	name, err := nameOf(r)
	if err != nil {
		return err
	}

	clusterRules, gameRules := r.Rules, []map[string]any(nil)
	if r.Kind == "ClusterRole" && r.Metadata.Name == operatorName {
		clusterRules, gameRules = divide(r.Rules)
		content, err := yaml.Marshal(gameRules)
		if err != nil {
			return fmt.Errorf("encode the rules of games: %w", err)
		}
		files[filepath.Join(chart, "templates/_rules.tpl")] = fmt.Appendf(nil, "{{- /* %s */ -}}\n{{- define \"leaderboard-operator.gameRules\" }}\n%s{{- end }}\n", generated, content)
	}
	rules, err := yaml.Marshal(clusterRules)
	if err != nil {
		return fmt.Errorf("encode the rules: %w", err)
	}

	fmt.Fprintf(out, "apiVersion: rbac.authorization.k8s.io/v1\nkind: %s\nmetadata:\n  name: %s\n", r.Kind, name)
	if r.Kind == "Role" {
		out.WriteString("  namespace: {{ .Release.Namespace }}\n")
	}

	out.WriteString("  labels:\n    {{- include \"leaderboard-operator.labels\" . | nindent 4 }}\n")
	if len(r.Metadata.Labels) > 0 {
		labels, err := yaml.Marshal(r.Metadata.Labels)
		if err != nil {
			return fmt.Errorf("encode the labels: %w", err)
		}
		out.WriteString(indent(labels))
	}

	out.WriteString("rules:\n")
	out.Write(rules)
	if gameRules != nil {
		out.WriteString(gameRoles)
	}
	return nil
}

// clusterScoped are the resources, of those that the operator uses, that are in no namespace, and
// events, which are in the namespace default where they are of a class.
var clusterScoped = []any{"namespaces", "leaderboardclasses", "leaderboardclasses/status", "ingressclasses", "events"}

// divide divides rules into those of the whole cluster and those of the namespaces of games.
func divide(rules []map[string]any) (ofCluster, ofGames []map[string]any) {
	for _, rule := range rules {
		resources, _ := rule["resources"].([]any)
		if len(resources) == 0 { // of URLs
			ofCluster = append(ofCluster, rule)
			continue
		}

		var own, others []any
		for _, resource := range resources {
			if slices.Contains(clusterScoped, resource) {
				own = append(own, resource)
			} else {
				others = append(others, resource)
			}
		}
		ofCluster, ofGames = appendFor(ofCluster, rule, own), appendFor(ofGames, rule, others)
	}
	return ofCluster, ofGames
}

// appendFor appends the rule for the resources, if there are any.
func appendFor(rules []map[string]any, rule map[string]any, resources []any) []map[string]any {
	if len(resources) == 0 {
		return rules
	}
	rule = maps.Clone(rule)
	rule["resources"] = resources
	return append(rules, rule)
}

// gameRoles give the operator its rights in the namespaces of games: in all, or in those that it
// watches.
const gameRoles = `{{- if not .Values.watchNamespaces }}
{{- include "leaderboard-operator.gameRules" . }}
{{- end }}
{{- range .Values.watchNamespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ include "leaderboard-operator.fullname" $ }}-games
  namespace: {{ . }}
  labels:
    {{- include "leaderboard-operator.labels" $ | nindent 4 }}
rules:
{{- include "leaderboard-operator.gameRules" $ }}
{{- end }}
`

// nameOf is the template of the role's name: the operator's own roles have the
// release's name, the users' end in -editor and -viewer.
func nameOf(r role) (string, error) {
	const fullname = `{{ include "leaderboard-operator.fullname" . }}`
	switch {
	case r.Kind == "ClusterRole" && r.Metadata.Namespace == "", r.Kind == "Role" && r.Metadata.Namespace == operatorNamespace:
	default:
		return "", fmt.Errorf("%s %s/%s: only ClusterRoles, and Roles in %s, are known", r.Kind, r.Metadata.Namespace, r.Metadata.Name, operatorNamespace)
	}

	if r.Metadata.Name == operatorName {
		return fullname, nil
	}

	suffix, found := strings.CutPrefix(r.Metadata.Name, "leaderboard-")
	if !found {
		return "", fmt.Errorf("role %s: the name must begin with leaderboard-", r.Metadata.Name)
	}

	return fullname + "-" + suffix, nil
}

func indent(text []byte) string {
	lines := strings.SplitAfter(strings.TrimSuffix(string(text), "\n")+"\n", "\n")
	return "    " + strings.TrimSuffix(strings.Join(lines, "    "), "    ")
}
