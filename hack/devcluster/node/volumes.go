package node

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
)

// writeVolumes brings the volumes of all containers up to date. Files change
// atomically, as on a real node: a symbolic link is swapped.
func (w *worker) writeVolumes(ctx context.Context) error {
	pod := w.current()
	volumes := map[string]*corev1.Volume{}
	for i := range pod.Spec.Volumes {
		volumes[pod.Spec.Volumes[i].Name] = &pod.Spec.Volumes[i]
	}

	shared := map[string]int{}
	for _, c := range w.containers() {
		for _, mount := range c.spec.VolumeMounts {
			volume := volumes[mount.Name]
			if mount.SubPath != "" || mount.SubPathExpr != "" {
				return unsupported("subPath")
			}
			if volume.EmptyDir != nil {
				if shared[mount.Name]++; shared[mount.Name] > 1 {
					return unsupported("emptyDir that two containers share")
				}
			}
			if err := c.writeVolume(ctx, volume, mount.MountPath); err != nil {
				return fmt.Errorf("volume %q: %w", mount.Name, err)
			}
		}
	}

	return nil
}

func (c *container) writeVolume(ctx context.Context, volume *corev1.Volume, mountPath string) error {
	target := filepath.Join(c.root, mountPath)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if volume.EmptyDir != nil {
		return os.Chmod(target, 0o777)
	}

	files, err := c.worker.files(ctx, c, volume)
	if err != nil {
		return err
	}

	uid, gid, err := c.user()
	if err != nil {
		return err
	}

	writer, err := volumeutil.NewAtomicWriter(target, "devcluster")
	if err != nil {
		return err
	}

	return writer.Write(files, func(subPath string) error {
		dir := filepath.Join(target, subPath)
		return filepath.Walk(dir, func(name string, _ os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(name, int(uid), int(gid))
		})
	})
}

// files are what a volume holds now.
func (w *worker) files(ctx context.Context, c *container, volume *corev1.Volume) (map[string]volumeutil.FileProjection, error) {
	files := map[string]volumeutil.FileProjection{}
	switch {
	case volume.Secret != nil:
		return files, w.addSecret(files, volume.Secret.SecretName, volume.Secret.Items, volume.Secret.DefaultMode, volume.Secret.Optional)
	case volume.ConfigMap != nil:
		return files, w.addConfigMap(files, volume.ConfigMap.Name, volume.ConfigMap.Items, volume.ConfigMap.DefaultMode, volume.ConfigMap.Optional)
	case volume.DownwardAPI != nil:
		return files, w.addDownward(files, volume.DownwardAPI.Items, volume.DownwardAPI.DefaultMode)
	case volume.Projected != nil:
		for _, source := range volume.Projected.Sources {
			if err := w.addSource(ctx, c, files, volume.Name, source, volume.Projected.DefaultMode); err != nil {
				return nil, err
			}
		}
		return files, nil
	default:
		return nil, unsupported("volume of this kind")
	}
}

func (w *worker) addSource(ctx context.Context, c *container, files map[string]volumeutil.FileProjection, volume string, source corev1.VolumeProjection, mode *int32) error {
	switch {
	case source.Secret != nil:
		return w.addSecret(files, source.Secret.Name, source.Secret.Items, mode, source.Secret.Optional)
	case source.ConfigMap != nil:
		return w.addConfigMap(files, source.ConfigMap.Name, source.ConfigMap.Items, mode, source.ConfigMap.Optional)
	case source.DownwardAPI != nil:
		return w.addDownward(files, source.DownwardAPI.Items, mode)
	case source.ServiceAccountToken != nil:
		value, err := w.serviceAccountToken(ctx, c, volume, source.ServiceAccountToken)
		files[source.ServiceAccountToken.Path] = volumeutil.FileProjection{Data: []byte(value), Mode: 0o600}
		return err
	default:
		return unsupported("projection of this kind")
	}
}

func (w *worker) addSecret(files map[string]volumeutil.FileProjection, name string, items []corev1.KeyToPath, mode *int32, optional *bool) error {
	secret, err := w.agent.secrets.Secrets(w.current().Namespace).Get(name)
	if err != nil {
		return ignoreOptional(err, optional)
	}
	return addKeys(files, secret.Data, items, mode, optional)
}

func (w *worker) addConfigMap(files map[string]volumeutil.FileProjection, name string, items []corev1.KeyToPath, mode *int32, optional *bool) error {
	configMap, err := w.agent.configMaps.ConfigMaps(w.current().Namespace).Get(name)
	if apierrors.IsNotFound(err) && name == "kube-root-ca.crt" {
		return fmt.Errorf("the certificate of the cluster is not published yet: %w", err)
	}
	if err != nil {
		return ignoreOptional(err, optional)
	}

	data := make(map[string][]byte, len(configMap.Data)+len(configMap.BinaryData))
	for key, value := range configMap.Data {
		data[key] = []byte(value)
	}

	for key, value := range configMap.BinaryData {
		data[key] = value
	}

	return addKeys(files, data, items, mode, optional)
}

const defaultMode = int32(0o644)

func modeOf(modes ...*int32) int32 {
	for _, mode := range modes {
		if mode != nil {
			return *mode
		}
	}
	return defaultMode
}

func addKeys(files map[string]volumeutil.FileProjection, data map[string][]byte, items []corev1.KeyToPath, mode *int32, optional *bool) error {
	if len(items) == 0 {
		for key, value := range data {
			files[key] = volumeutil.FileProjection{Data: value, Mode: modeOf(mode)}
		}
		return nil
	}

	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if optional != nil && *optional {
				continue
			}
			return fmt.Errorf("references non-existent key %s", item.Key)
		}
		files[item.Path] = volumeutil.FileProjection{Data: value, Mode: modeOf(item.Mode, mode)}
	}

	return nil
}

func (w *worker) addDownward(files map[string]volumeutil.FileProjection, items []corev1.DownwardAPIVolumeFile, mode *int32) error {
	for _, item := range items {
		if item.FieldRef == nil {
			return unsupported("resource field in a volume")
		}
		value, err := w.field(item.FieldRef.FieldPath)
		if err != nil {
			return err
		}
		files[item.Path] = volumeutil.FileProjection{Data: []byte(value), Mode: modeOf(item.Mode, mode)}
	}
	return nil
}

// serviceAccountToken returns a token bound to the Pod, renewed at four fifths
// of its life, as the kubelet does.
func (w *worker) serviceAccountToken(ctx context.Context, c *container, volume string, source *corev1.ServiceAccountTokenProjection) (string, error) {
	key := path.Join(volume, source.Path)
	if kept, ok := c.tokens[key]; ok && time.Now().Before(kept.renew) {
		return kept.value, nil
	}

	pod := w.current()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}

	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	answer, err := w.agent.Client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("ask for a token: %w", err)
	}

	life := time.Until(answer.Status.ExpirationTimestamp.Time)
	c.tokens[key] = token{value: answer.Status.Token, renew: time.Now().Add(life * 4 / 5)}
	return answer.Status.Token, nil
}
