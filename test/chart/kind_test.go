package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What hack/kind runs in its cluster is taken by a real API server, in namespaces
// that enforce restricted Pod Security.
func TestKindManifests(t *testing.T) {
	server := startAPIServer(t)
	for _, name := range []string{"databases", "ingress"} {
		require.NoError(t, server.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name,
			Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}))
		for _, account := range []string{"default", "ingress"} { // there is no controller that makes them
			require.NoError(t, server.client.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: account}}))
		}
	}

	image := regexp.MustCompile(`\$\{[A-Z]+_IMAGE\}`)
	for _, name := range []string{"postgres.yaml", "redis.yaml", "ingress.yaml"} {
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join(root, "hack/kind", name))
			require.NoError(t, err)
			manifest := image.ReplaceAllString(string(content), "store:1")
			_, err = program(t, nil, []byte(manifest), filepath.Join(root, "bin/devcluster"), "kubectl",
				"--kubeconfig", server.kubeconfig, "apply", "--server-side", "--dry-run=server", "-f", "-")
			require.NoError(t, err)
			pods := 0

			for _, object := range decode(t, []byte(manifest)) {
				var template corev1.PodTemplateSpec
				switch workload := object.(type) {
				case *appsv1.StatefulSet:
					template = workload.Spec.Template
					for _, claim := range workload.Spec.VolumeClaimTemplates { // which its controller would bind
						template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: claim.Name})
					}
				case *appsv1.Deployment:
					template = workload.Spec.Template
				default:
					continue
				}

				pods++
				// Pod Security judges Pods, not what makes them.
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: object.GetNamespace(), Name: "pod"}, Spec: template.Spec}
				require.NoError(t, server.client.Create(t.Context(), pod, client.DryRunAll))
			}

			require.Equal(t, 1, pods)
		})
	}
}
