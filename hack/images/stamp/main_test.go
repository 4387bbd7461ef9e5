package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var commitTime = time.Unix(1_700_000_000, 0).UTC()

// saved is an archive as docker writes it, of a build at some time.
func saved(t *testing.T, layer, user, built, container string) []byte {
	t.Helper()
	config := fmt.Sprintf(`{"architecture":"amd64","config":{"Hostname":"","User":%q,"Image":"sha256:%s"},"container":%q,`+
		`"container_config":{"Hostname":%q},"created":%q,"docker_version":"20.10","history":[{"created":%q,"created_by":"COPY"}],`+
		`"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}`, user, container, container, container, built, built, digest([]byte(layer)))

	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, file := range [][2]string{
		{container + "/layer.tar", layer},
		{digest([]byte(config)) + ".json", config},
		{"manifest.json", fmt.Sprintf(`[{"Config":"%s.json","RepoTags":null,"Layers":["%s/layer.tar"]}]`, digest([]byte(config)), container)},
	} {
		require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: file[0], Size: int64(len(file[1])), ModTime: time.Now()}))
		_, err := io.WriteString(w, file[1])
		require.NoError(t, err)
	}

	require.NoError(t, w.Close())
	return out.Bytes()
}

func stamped(t *testing.T, in []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, stamp(bytes.NewReader(in), &out, commitTime, "program:1"))
	return out.Bytes()
}

// Two builds of the same are the same, and builds of something else are not.
func TestStamp(t *testing.T) {
	first := stamped(t, saved(t, "layer", "65532", "2026-01-01T10:00:00.5Z", "aaaa"))
	require.Equal(t, first, stamped(t, saved(t, "layer", "65532", "2026-02-03T11:22:33Z", "bbbb")))
	require.NotEqual(t, first, stamped(t, saved(t, "another", "65532", "2026-01-01T10:00:00.5Z", "aaaa")))
	require.NotEqual(t, first, stamped(t, saved(t, "layer", "0", "2026-01-01T10:00:00.5Z", "aaaa")))
	require.Equal(t, first, stamped(t, first), "what is stamped stays")

	files, err := read(bytes.NewReader(first))
	require.NoError(t, err)
	config := digest(files[configName(t, files)])
	require.Equal(t, config+".json", configName(t, files), "an image's id is the digest of its settings")
	require.JSONEq(t, fmt.Sprintf(`{"architecture":"amd64","config":{"User":"65532"},"created":"2023-11-14T22:13:20Z",
		"history":[{"created":"2023-11-14T22:13:20Z","created_by":"COPY"}],"os":"linux",
		"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}`, digest([]byte("layer"))), string(files[config+".json"]))

	require.JSONEq(t, fmt.Sprintf(`[{"Config":"%s.json","RepoTags":["program:1"],"Layers":["%s/layer.tar"]}]`, config, digest([]byte("layer"))),
		string(files["manifest.json"]))
}

func configName(t *testing.T, files map[string][]byte) string {
	t.Helper()
	for name := range files {
		if name != "manifest.json" && len(name) == len(digest(nil))+len(".json") {
			return name
		}
	}

	t.Fatal("the archive has no settings")
	return ""
}

// What is no image of docker's is refused with the reason.
func TestStampRefuses(t *testing.T) {
	whole := saved(t, "layer", "65532", "2026-01-01T10:00:00Z", "aaaa")
	for name, test := range map[string]struct {
		archive []byte
		image   string
		message string
	}{
		"no name":     {whole, "", "-name is empty"},
		"no archive":  {[]byte("what docker says when it fails"), "program:1", "read the archive"},
		"nothing":     {nil, "program:1", "decode manifest.json"},
		"half of one": {whole[:1100], "program:1", "read the archive: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, stamp(bytes.NewReader(test.archive), io.Discard, commitTime, test.image), test.message)
		})
	}
}
