package node

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	resourceutil "k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// environment resolves the variables of a container as the kubelet does: those
// of envFrom first, then those of env in order, with $(NAME) expanded.
func (c *container) environment(ctx context.Context) (map[string]string, error) {
	agent, pod := c.worker.agent, c.worker.current()
	env := map[string]string{
		"PATH":                    "/",
		"HOSTNAME":                hostName(pod),
		"KUBERNETES_SERVICE_HOST": agent.IP.String(),
		"KUBERNETES_SERVICE_PORT": strconv.Itoa(agent.APIPort),
	}

	for _, source := range c.spec.EnvFrom {
		if err := c.fromSource(env, source); err != nil {
			return nil, err
		}
	}

	for _, variable := range c.spec.Env {
		if variable.ValueFrom == nil {
			env[variable.Name] = expansion.Expand(variable.Value, expansion.MappingFuncFor(env))
			continue
		}
		value, found, err := c.valueFrom(variable.ValueFrom)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", variable.Name, err)
		}
		if found {
			env[variable.Name] = value
		}
	}

	return env, ctx.Err()
}

func (c *container) fromSource(env map[string]string, source corev1.EnvFromSource) error {
	namespace := c.worker.current().Namespace
	switch {
	case source.SecretRef != nil:
		secret, err := c.worker.agent.secrets.Secrets(namespace).Get(source.SecretRef.Name)
		if err != nil {
			return ignoreOptional(err, source.SecretRef.Optional)
		}
		for key, value := range secret.Data {
			env[source.Prefix+key] = string(value)
		}
	case source.ConfigMapRef != nil:
		configMap, err := c.worker.agent.configMaps.ConfigMaps(namespace).Get(source.ConfigMapRef.Name)
		if err != nil {
			return ignoreOptional(err, source.ConfigMapRef.Optional)
		}
		for key, value := range configMap.Data {
			env[source.Prefix+key] = value
		}
	}

	return nil
}

// valueFrom resolves one variable; found is false for an optional one that is
// not there.
func (c *container) valueFrom(source *corev1.EnvVarSource) (value string, found bool, err error) {
	pod := c.worker.current()
	switch {
	case source.SecretKeyRef != nil:
		secret, err := c.worker.agent.secrets.Secrets(pod.Namespace).Get(source.SecretKeyRef.Name)
		if err != nil {
			return "", false, ignoreOptional(err, source.SecretKeyRef.Optional)
		}
		content, ok := secret.Data[source.SecretKeyRef.Key]
		if !ok && (source.SecretKeyRef.Optional == nil || !*source.SecretKeyRef.Optional) {
			return "", false, fmt.Errorf("couldn't find key %s in Secret %s/%s", source.SecretKeyRef.Key, pod.Namespace, secret.Name)
		}
		return string(content), ok, nil
	case source.ConfigMapKeyRef != nil:
		configMap, err := c.worker.agent.configMaps.ConfigMaps(pod.Namespace).Get(source.ConfigMapKeyRef.Name)
		if err != nil {
			return "", false, ignoreOptional(err, source.ConfigMapKeyRef.Optional)
		}
		content, ok := configMap.Data[source.ConfigMapKeyRef.Key]
		if !ok && (source.ConfigMapKeyRef.Optional == nil || !*source.ConfigMapKeyRef.Optional) {
			return "", false, fmt.Errorf("couldn't find key %s in ConfigMap %s/%s", source.ConfigMapKeyRef.Key, pod.Namespace, configMap.Name)
		}
		return content, ok, nil
	case source.FieldRef != nil:
		value, err := c.worker.field(source.FieldRef.FieldPath)
		return value, true, err
	case source.ResourceFieldRef != nil:
		value, err := resourceutil.ExtractResourceValueByContainerNameAndNodeAllocatable(source.ResourceFieldRef, pod, c.spec.Name, capacity())
		return value, true, err
	default:
		return "", false, unsupported("such source of a variable")
	}
}

// field reads a field of the downward API.
func (w *worker) field(path string) (string, error) {
	pod := w.current()
	switch path {
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return w.podIP(), nil
	case "status.hostIP", "status.hostIPs":
		return w.agent.IP.String(), nil
	}

	value, err := fieldpath.ExtractFieldPathAsString(pod, path)
	if err != nil {
		return "", fmt.Errorf("read the field %s: %w", path, err)
	}

	return value, nil
}

func ignoreOptional(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}

// expandAll expands $(NAME) in a command or in arguments.
func expandAll(words []string, env map[string]string) []string {
	mapping := expansion.MappingFuncFor(env)
	expanded := make([]string, len(words))
	for i, word := range words {
		expanded[i] = expansion.Expand(word, mapping)
	}
	return expanded
}

// list is the environment as exec wants it.
func list(env map[string]string) []string {
	variables := make([]string, 0, len(env))
	for name, value := range env {
		variables = append(variables, name+"="+value)
	}
	slices.Sort(variables)
	return variables
}
