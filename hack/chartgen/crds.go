package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// digestAnnotation tells, in a cluster, which version of a CRD is there. The
// chart's verify-crds.yaml compares it.
const digestAnnotation = "games.leaderboard.dev/schema-digest"

// addCRDs copies the CRDs to crds/, which Helm installs first, waits for, and
// keeps when the release is uninstalled. As templates they would be updated by
// Helm too, but then no release could hold a LeaderboardClass: Helm looks up
// the kinds of all templates before it installs any.
func addCRDs(root string, files map[string][]byte) error {
	paths, err := filepath.Glob(filepath.Join(root, crdFolder, "*.yaml"))
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return errors.New("there are none in " + crdFolder + ": run make generate")
	}

	var digests strings.Builder
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}

		crd := map[string]any{}
		if err := yaml.Unmarshal(source, &crd); err != nil {
			return fmt.Errorf("parse %s: %w", path, err)
		}

		metadata, ok := crd["metadata"].(map[string]any)
		if !ok {
			return fmt.Errorf("%s has no metadata", path)
		}

		annotations, ok := metadata["annotations"].(map[string]any)
		if !ok {
			return fmt.Errorf("%s has no annotations: controller-gen writes its version there", path)
		}

		sum := sha256.Sum256(source)
		digest := hex.EncodeToString(sum[:8])
		annotations[digestAnnotation] = digest
		content, err := yaml.Marshal(crd)
		if err != nil {
			return fmt.Errorf("encode %s: %w", path, err)
		}

		files[filepath.Join(chart, "crds", filepath.Base(path))] = append([]byte("# "+generated+"\n"), content...)
		fmt.Fprintf(&digests, "%s: %q\n", metadata["name"], digest)
	}

	files[filepath.Join(chart, "templates/_crds.tpl")] = []byte("{{/* " + generated + " */}}\n" +
		"{{- define \"leaderboard-operator.crdDigests\" -}}\n" + digests.String() + "{{- end }}\n")
	return nil
}
