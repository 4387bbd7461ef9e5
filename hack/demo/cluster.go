package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

const fieldOwner = client.FieldOwner("demo")

// requestTimeout bounds one call of the API server.
const requestTimeout = 10 * time.Second

type cluster struct {
	client client.Client
}

func newCluster(config *rest.Config) (*cluster, error) {
	config.Timeout = requestTimeout
	scheme := runtime.NewScheme()
	if err := games.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register the types: %w", err)
	}

	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}

	return &cluster{client: c}, nil
}

// apply applies the manifests of one file and returns the Leaderboards among them.
func (c *cluster) apply(ctx context.Context, manifests []byte) ([]types.NamespacedName, error) {
	var leaderboards []types.NamespacedName
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return leaderboards, nil
		} else if err != nil {
			return nil, fmt.Errorf("decode the manifests: %w", err)
		}

		if len(object.Object) == 0 {
			continue
		}

		configuration := client.ApplyConfigurationFromUnstructured(object)
		if err := c.client.Apply(ctx, configuration, fieldOwner, client.ForceOwnership); err != nil {
			return nil, fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}

		if object.GetKind() == "Leaderboard" {
			leaderboards = append(leaderboards, client.ObjectKeyFromObject(object))
		}
	}
}

// waitReady waits until the Leaderboard is ready for its present spec.
func (c *cluster) waitReady(ctx context.Context, key types.NamespacedName) (*games.Leaderboard, error) {
	game := &games.Leaderboard{}
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if err := c.client.Get(ctx, key, game); err != nil {
			return false, err
		}
		ready := meta.FindStatusCondition(game.Status.Conditions, games.ConditionReady)
		return ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == game.Generation, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s did not become ready: %w%s", key, err, describe(game))
	}

	return game, nil
}

// annotate sets an annotation of a game.
func (c *cluster) annotate(ctx context.Context, game *games.Leaderboard, name, value string) error {
	patched := game.DeepCopy()
	metav1.SetMetaDataAnnotation(&patched.ObjectMeta, name, value)
	if err := c.client.Patch(ctx, patched, client.MergeFrom(game), fieldOwner); err != nil {
		return fmt.Errorf("annotate %s/%s: %w", game.Namespace, game.Name, err)
	}
	return nil
}

// describe tells the conditions in words, a line each.
func describe(game *games.Leaderboard) string {
	var text string
	for _, condition := range game.Status.Conditions {
		text += fmt.Sprintf("\n  %s is %s (%s): %s", condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	return text
}
