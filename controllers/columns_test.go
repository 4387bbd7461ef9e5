package controllers

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// row is what kubectl get -o wide shows of an object: NAME=value of each column.
func row(t testing.TB, object client.Object) string {
	t.Helper()
	kind, err := cluster.GroupVersionKindFor(object)
	require.NoError(t, err)
	mapping, err := cluster.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	require.NoError(t, err)
	path := "/apis/" + mapping.Resource.GroupVersion().String()
	if object.GetNamespace() != "" {
		path += "/namespaces/" + object.GetNamespace()
	}

	clientset, err := kubernetes.NewForConfig(restConfig)
	require.NoError(t, err)
	answer, err := clientset.RESTClient().Get().AbsPath(path, mapping.Resource.Resource, object.GetName()).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	require.NoError(t, err)
	var table metav1.Table
	require.NoError(t, json.Unmarshal(answer, &table))
	require.Len(t, table.Rows, 1)

	var columns []string
	for i, column := range table.ColumnDefinitions {
		columns = append(columns, fmt.Sprintf("%s=%v", strings.ToUpper(column.Name), table.Rows[0].Cells[i]))
	}
	return strings.Join(columns, "  ")
}
