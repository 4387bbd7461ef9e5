// Command stamp reads an image as "docker image save" writes it and writes it
// again with nothing in it that tells when and where it was built, so that the
// same layers and settings have the same id. Docker's older builder writes the
// present time and the names of its containers into every image, and has no
// switch for that.
//
//	docker image save ID | stamp -epoch 1700000000 -name program:tag | docker image load
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"time"
)

// maxArchive bounds what is held in memory: the images are some 40 MB.
const maxArchive = 1 << 30

func main() {
	epoch := flag.Int64("epoch", 0, "time of the image and its files, in seconds since 1970")
	name := flag.String("name", "", "name of the image, with its tag")
	flag.Parse()
	if err := stamp(os.Stdin, os.Stdout, time.Unix(*epoch, 0).UTC(), *name); err != nil {
		fmt.Fprintln(os.Stderr, "stamp:", err)
		os.Exit(1)
	}
}

// manifest is an entry of manifest.json.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func stamp(in io.Reader, out io.Writer, created time.Time, name string) error {
	if name == "" {
		return errors.New("-name is empty: give the image's name and tag")
	}

	files, err := read(in)
	if err != nil {
		return fmt.Errorf("read the archive: %w", err)
	}

	var manifests []manifest
	if err := json.Unmarshal(files["manifest.json"], &manifests); err != nil {
		return fmt.Errorf("decode manifest.json: %w", err)
	}
	if len(manifests) != 1 {
		return fmt.Errorf("the archive holds %d images: save one", len(manifests))
	}

	config, err := timeless(files[manifests[0].Config], created)
	if err != nil {
		return fmt.Errorf("rewrite the image's settings: %w", err)
	}

	image := manifest{Config: digest(config) + ".json", RepoTags: []string{name}}
	w := &archive{out: tar.NewWriter(out), modified: created}
	w.add(image.Config, config)

	for _, layer := range manifests[0].Layers {
		content, found := files[layer]
		if !found {
			return fmt.Errorf("the archive lacks its layer %s", layer)
		}
		as := digest(content) + "/layer.tar"
		image.Layers = append(image.Layers, as)
		w.add(as, content)
	}

	index, err := json.Marshal([]manifest{image})
	if err != nil {
		return fmt.Errorf("encode manifest.json: %w", err)
	}

	w.add("manifest.json", index)
	return w.close()
}

// timeless is the image's settings without what its build left in them.
func timeless(config []byte, created time.Time) ([]byte, error) {
	var image map[string]any
	if err := json.Unmarshal(config, &image); err != nil {
		return nil, err
	}

	for _, field := range []string{"container", "container_config", "docker_version"} {
		delete(image, field)
	}

	if settings, ok := image["config"].(map[string]any); ok {
		delete(settings, "Image") // the step before the last one
		delete(settings, "Hostname")
	}

	at := created.Format(time.RFC3339)
	image["created"] = at
	history, _ := image["history"].([]any)

	for _, entry := range history {
		if step, ok := entry.(map[string]any); ok {
			step["created"] = at
		}
	}

	return json.Marshal(image) // with sorted keys
}

// read returns the regular files of an archive. Links, by which docker saves a
// layer once that several images have, are followed.
func read(in io.Reader) (map[string][]byte, error) {
	files := make(map[string][]byte)
	left := int64(maxArchive)
	for r := tar.NewReader(in); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}

		name := path.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			if left -= header.Size; left < 0 {
				return nil, fmt.Errorf("it has over %d bytes", maxArchive)
			}
			if files[name], err = io.ReadAll(r); err != nil {
				return nil, err
			}
		case tar.TypeSymlink:
			target := path.Join(path.Dir(name), header.Linkname)
			content, found := files[target]
			if !found {
				return nil, fmt.Errorf("%s links to %s, which does not come before it", name, header.Linkname)
			}
			files[name] = content
		}
	}
}

// archive writes files of one time and owner; the first error sticks.
type archive struct {
	out      *tar.Writer
	modified time.Time
	err      error
}

func (a *archive) add(name string, content []byte) {
	if a.err != nil {
		return
	}

	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: a.modified}
	if a.err = a.out.WriteHeader(header); a.err != nil {
		return
	}

	_, a.err = io.Copy(a.out, bytes.NewReader(content))
}

func (a *archive) close() error {
	if a.err == nil {
		a.err = a.out.Close()
	}
	if a.err != nil {
		return fmt.Errorf("write the archive: %w", a.err)
	}
	return nil
}

// digest is the content's SHA-256 in hexadecimal digits.
func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
