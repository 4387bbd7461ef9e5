package v1alpha1_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	lua "github.com/yuin/gopher-lua"
	"sigs.k8s.io/yaml"
)

// Argo CD runs the script with the same interpreter.
func TestHealthForArgoCD(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("..", "..", "config", "argocd", "health.lua"))
	require.NoError(t, err)

	for _, test := range []struct{ name, object, status, message string }{
		{"new", `{metadata: {generation: 1}}`, "Progressing", "Waiting for the operator"},
		{"not looked at", `{metadata: {generation: 1}, status: {conditions: [{type: Ready, status: Unknown, reason: Pending, message: Waiting}]}}`, "Progressing", "Waiting for the operator"},
		{"ready", `{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: SchemaReady, status: "True"}, {type: Ready, status: "True", reason: Ready, message: Served}]}}`, "Healthy", "Served"},
		{"no Pods, as asked for", `{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "True", reason: ScaledToZero, message: No Pod}]}}`, "Healthy", "No Pod"},
		{"changed since", `{metadata: {generation: 3}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "True", reason: Ready, message: Served}]}}`, "Progressing", "Waiting for the operator"},
		{"at work", `{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "False", reason: Progressing, message: 1 of 2}, {type: Reconciling, status: "True", message: 1 of 2}]}}`, "Progressing", "1 of 2"},
		{"stalled", `{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "False", message: No class}, {type: Stalled, status: "True", message: No class}]}}`, "Degraded", "No class"},
		{"suspended", `{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "True", reason: Suspended, message: Suspended}]}}`, "Suspended", "Suspended"},
		{"deleted", `{metadata: {generation: 2, deletionTimestamp: "2027-01-01T00:00:00Z"}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "True", message: Served}]}}`, "Progressing", "Being deleted"},
		{"cannot be deleted", `{metadata: {generation: 2, deletionTimestamp: "2027-01-01T00:00:00Z"}, status: {observedGeneration: 2, conditions: [{type: Ready, status: "False"}, {type: Stalled, status: "True", message: In use}]}}`, "Degraded", "In use"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var object map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(test.object), &object))
			state := lua.NewState()
			defer state.Close()
			state.SetGlobal("obj", toLua(state, object))
			require.NoError(t, state.DoString(string(script)))

			health, ok := state.Get(-1).(*lua.LTable)
			require.True(t, ok)
			require.Equal(t, test.status, lua.LVAsString(health.RawGetString("status")))
			require.Equal(t, test.message, lua.LVAsString(health.RawGetString("message")))
		})
	}
}

// toLua makes Lua's values of those of JSON.
func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, v := range value {
			table.RawSetString(key, toLua(state, v))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, v := range value {
			table.Append(toLua(state, v))
		}
		return table
	case string:
		return lua.LString(value)
	case float64:
		return lua.LNumber(value)
	case bool:
		return lua.LBool(value)
	default:
		return lua.LNil
	}
}
