// Package kind tests the scripts in front of what they run: that they parse, and
// that a machine on which they cannot work gets one line that says what to type.
// That they work is shown by make kind-up kind-demo kind-e2e kind-down.
package kind

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// scriptTimeout bounds a script that ends at its first checks.
const scriptTimeout = 2 * time.Minute

// Every script parses.
func TestScriptsParse(t *testing.T) {
	for _, pattern := range []string{"hack/*.sh", "hack/kind/*.sh", "hack/images/*.sh", ".ci/run"} {
		scripts, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, scripts, pattern)
		for _, script := range scripts {
			output, err := exec.CommandContext(t.Context(), "bash", "-n", script).CombinedOutput()
			require.NoError(t, err, "%s: %s", script, output)
		}
	}
}

// machine is a folder with the scripts and the programs that they find, which are
// this machine's except for those that a test puts in their place.
type machine struct {
	folder string
	env    []string
}

// A docker that works, a kind without a cluster, and enough memory.
const (
	dockerWorks = `[ "$1" = version ] && echo 27.3.1; exit 0`
	noClusters  = `exit 0`
	muchMemory  = `echo 8192`
)

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{folder: t.TempDir()}
	scripts, err := filepath.Glob("*")
	require.NoError(t, err)

	for _, name := range scripts {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		m.write(t, "hack/kind/"+name, string(content))
	}

	debian, err := os.ReadFile("../debian.sh")
	require.NoError(t, err)
	m.write(t, "hack/debian.sh", string(debian))

	for _, name := range []string{"bash", "cat", "dirname", "grep", "mkdir", "rm", "rmdir", "sed", "wc"} {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(m.folder, "path"), 0o755))
		require.NoError(t, os.Symlink(path, filepath.Join(m.folder, "path", name)))
	}

	m.program(t, "path/docker", dockerWorks)
	m.program(t, "path/awk", muchMemory) // which reads /proc/meminfo
	m.program(t, "path/go", `echo amd64`)
	m.program(t, "bin/tools/kind", noClusters)
	m.program(t, "hack/images/build.sh", `exit 0`)
	m.set("KIND_INGRESS_PORT", strconv.Itoa(freePort(t)))

	return m
}

func (m *machine) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(m.folder, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o755)) //nolint:gosec // programs
}

// program puts a program of a few lines of shell where the scripts find it.
func (m *machine) program(t *testing.T, name, body string) {
	t.Helper()
	m.write(t, name, "#!"+filepath.Join(m.folder, "path/bash")+"\n"+body+"\n")
}

func (m *machine) set(name, value string) { m.env = append(m.env, name+"="+value) }

// run runs a script and returns what it wrote, and its error.
func (m *machine) run(t *testing.T, script string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()

	command := exec.CommandContext(ctx, filepath.Join(m.folder, "path/bash"), filepath.Join(m.folder, "hack/kind", script))
	command.Env = append([]string{"PATH=" + filepath.Join(m.folder, "path"), "HOME=" + m.folder}, m.env...)
	var out, errors bytes.Buffer
	command.Stdout, command.Stderr = &out, &errors
	err = command.Run()

	return out.String(), errors.String(), err
}

// freePort is a port on which nothing listens.
func freePort(t *testing.T) int {
	t.Helper()
	listener, port := listen(t)
	require.NoError(t, listener.Close())
	return port
}

func listen(t *testing.T) (net.Listener, int) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return listener, listener.Addr().(*net.TCPAddr).Port
}

// What is wrong with the machine is told in one line, with what to type.
func TestBadStates(t *testing.T) {
	taken, port := listen(t)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	cluster := func(t *testing.T, m *machine) { // one that is whole
		m.program(t, "bin/tools/kind", `[ "$1 $2" = "get clusters" ] && echo leaderboard; exit 0`)
		m.program(t, "bin/kubectl", `printf 'a\nb\nc\n'`)
		m.write(t, ".kind/leaderboard.kubeconfig", "kubeconfig")
	}

	for name, test := range map[string]struct {
		script string
		make   func(t *testing.T, m *machine)
		line   string
	}{
		"no docker": {"up.sh", func(t *testing.T, m *machine) {
			require.NoError(t, os.Remove(filepath.Join(m.folder, "path/docker")))
		}, "docker is not installed: apt-get install docker.io (or see https://docs.docker.com/engine/install/)"},
		"no daemon": {"up.sh", func(t *testing.T, m *machine) {
			m.program(t, "path/docker", `echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock." >&2; exit 1`)
		}, "the docker daemon does not answer: start it (systemctl start docker, or dockerd), or see docker version"},
		"no right to docker": {"down.sh", func(t *testing.T, m *machine) {
			m.program(t, "path/docker", `echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1`)
		}, "you may not use docker: run this as root, or join its group (usermod -aG docker $USER) and log in again"},
		"an old docker": {"up.sh", func(t *testing.T, m *machine) {
			m.program(t, "path/docker", `echo 19.03.15`)
		}, "docker 19.03.15 is too old for kind: install 20.10 or later"},
		"little memory": {"up.sh", func(t *testing.T, m *machine) {
			m.program(t, "path/awk", `echo 512`)
		}, "only 512 MiB of memory are free, and the cluster needs some 3 GiB: stop something"},
		"a taken port": {"up.sh", func(_ *testing.T, m *machine) {
			m.set("KIND_INGRESS_PORT", strconv.Itoa(port))
		}, "port " + strconv.Itoa(port) + " of 127.0.0.1 is taken: end what listens there, or set KIND_INGRESS_PORT"},
		"no node image": {"up.sh", func(t *testing.T, m *machine) {
			m.program(t, "path/docker", `[ "$1" = version ] && echo 27.3.1 && exit; exit 1`)
			m.set("KIND_NODE_IMAGE", "kindest/node:v0")
		}, "there is no image kindest/node:v0, here or in its registry: build it, or leave KIND_NODE_IMAGE out"},
		"no image of a store": {"up.sh", func(t *testing.T, m *machine) {
			cluster(t, m)
			m.program(t, "path/docker", `[ "$1" = version ] && echo 27.3.1 && exit; exit 1`)
			m.set("KIND_POSTGRES_IMAGE", "postgres:0")
		}, "there is no image postgres:0, here or in its registry: set KIND_POSTGRES_IMAGE and KIND_REDIS_IMAGE to images that you have"},
		"no registry, and nothing to build an image with": {"up.sh", func(t *testing.T, m *machine) {
			cluster(t, m)
			m.program(t, "path/docker", `[ "$1" = version ] && echo 27.3.1 && exit; exit 1`)
		}, "there is no image for postgres, here or in a registry, and building one takes root and debootstrap: apt-get install debootstrap, or set KIND_POSTGRES_IMAGE to an image that you have"},
		"no cluster for the demo": {"demo.sh", func(*testing.T, *machine) {}, "there is no cluster leaderboard: run make kind-up"},
		"no cluster for the tests": {"e2e.sh", func(_ *testing.T, m *machine) {
			m.set("KIND_CLUSTER_NAME", "mine")
		}, "there is no cluster mine: run make kind-up"},
		"no cluster to load into": {"load.sh", func(*testing.T, *machine) {}, "there is no cluster leaderboard: run make kind-up"},
		"half a cluster": {"demo.sh", func(t *testing.T, m *machine) {
			cluster(t, m)
			m.program(t, "bin/kubectl", `echo a`)
		}, "there is no cluster leaderboard: run make kind-up"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			test.make(t, m)
			_, stderr, err := m.run(t, test.script)
			require.Error(t, err)
			require.Equal(t, "kind: "+test.line+"\n", stderr)
		})
	}
}

// Without a registry the images that were built from Debian's packages are used.
func TestImagesWithoutARegistry(t *testing.T) {
	m := newMachine(t)
	m.program(t, "bin/tools/kind", `[ "$1 $2" = "get clusters" ] && echo leaderboard; [ "$1" = load ] && echo "$@" >>`+m.folder+`/loaded; exit 0`)
	m.program(t, "bin/kubectl", `[ "$3" = "nodes" ] || [ "$2" = get ] && printf 'a\nb\nc\n'; exit 0`)
	m.write(t, ".kind/leaderboard.kubeconfig", "kubeconfig")
	m.program(t, "hack/kind/stores.sh", `echo "$KIND_POSTGRES_IMAGE $KIND_REDIS_IMAGE" >`+m.folder+`/stores`)
	m.program(t, "hack/install-platform.sh", `exit 0`)
	m.program(t, "path/docker", `case "$*" in version*) echo 27.3.1;; "image inspect"*:debian*|"image inspect"*:dev*) exit 0;; *) exit 1;; esac`)

	_, stderr, err := m.run(t, "up.sh")
	require.NoError(t, err, stderr)
	for file, want := range map[string]string{"stores": "leaderboard-postgres:debian leaderboard-redis:debian", "loaded": "leaderboard-postgres:debian leaderboard-redis:debian --nodes"} {
		content, err := os.ReadFile(filepath.Join(m.folder, file))
		require.NoError(t, err)
		require.Contains(t, string(content), want)
	}
}

// A cluster that an earlier failure left half made is removed before another one
// is made; one that is whole stays.
func TestHalfMadeClusterIsRemoved(t *testing.T) {
	for name, test := range map[string]struct {
		nodes   string
		removed bool
	}{
		"one node":      {`echo a`, true},
		"no API":        {`exit 1`, true},
		"all its nodes": {`printf 'a\nb\nc\n'`, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			calls := filepath.Join(m.folder, "calls")
			m.program(t, "bin/tools/kind", `echo "$*" >>`+calls+`; [ "$1 $2" = "get clusters" ] && [ ! -e `+calls+`.deleted ] && echo leaderboard
case "$1 $2" in
"delete cluster") : >`+calls+`.deleted ;;
*" cluster" | "load "*) echo "enough for this test" >&2; exit 1 ;;
esac
exit 0`)

			m.program(t, "bin/kubectl", test.nodes)
			m.write(t, ".kind/leaderboard.kubeconfig", "kubeconfig")
			stdout, _, err := m.run(t, "up.sh")
			require.Error(t, err, "the stand-in for kind makes no cluster")
			log, err := os.ReadFile(calls)
			require.NoError(t, err)
			require.Equal(t, test.removed, strings.Contains(string(log), "delete cluster --name leaderboard"), string(log))
			require.Equal(t, test.removed, strings.Contains(stdout, "removing the cluster leaderboard, which was left half made"), stdout)
			require.Equal(t, test.removed, strings.Contains(string(log), "create cluster --name leaderboard"), string(log))
		})
	}
}
