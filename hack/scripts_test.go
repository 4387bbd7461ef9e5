// Package hack tests the scripts that build and check the repository.
package hack

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// files writes files by their path into a new folder.
func files(t *testing.T, contents map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, content := range contents {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o755)) //nolint:gosec // some are programs
	}
	return folder
}

// run runs a script of this folder in another one.
func run(t *testing.T, folder string, env []string, script string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	path, err := filepath.Abs(script)
	require.NoError(t, err)
	var out, errors bytes.Buffer
	command := exec.CommandContext(t.Context(), path, args...)
	command.Dir, command.Env = folder, append(os.Environ(), env...)
	command.Stdout, command.Stderr = &out, &errors
	err = command.Run()

	return out.String(), errors.String(), err
}

const (
	goMod   = "module example.com/program\n\ngo 1.26\n"
	program = "package main\n\nfunc main() {}\n"
	broken  = "package main\n\nfunc main() { undefined() }\n"
)

// A build says when it starts and ends, and leaves the program where the flags say.
func TestBuild(t *testing.T) {
	unseen := program + "\nconst _ = \"" + rand.Text() + "\"\n" // in no build cache
	folder := files(t, map[string]string{"go.mod": goMod, "cmd/main.go": unseen})
	stdout, stderr, err := run(t, folder, nil, "build.sh", "the program", "./cmd", "-o", "bin/program", "-ldflags", "-s -w")
	require.NoError(t, err, stderr)
	require.Regexp(t, `^building the program: started\nbuilding the program: done after \d+ s, packages compiled: [1-9]`, stdout)
	require.FileExists(t, filepath.Join(folder, "bin/program"))
}

// A build that fails says why, and not that it is done.
func TestBuildFails(t *testing.T) {
	folder := files(t, map[string]string{"go.mod": goMod, "main.go": broken})
	stdout, stderr, err := run(t, folder, nil, "build.sh", "it", ".", "-o", "it")
	require.Error(t, err)
	require.Contains(t, stderr, "undefined: undefined")
	require.NotContains(t, stdout, "done")
}

// What runs beside a build is waited for, and its failure is no failure of the build.
func TestBuildMeanwhile(t *testing.T) {
	for name, test := range map[string]struct{ meanwhile, said string }{
		"succeeds": {"sleep 0.2; touch ended", "done after"},
		"fails":    {"touch ended; exit 3", "building it: meanwhile.sh failed"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := files(t, map[string]string{"go.mod": goMod, "main.go": program, "meanwhile.sh": "#!/bin/bash\n" + test.meanwhile + "\n"})
			stdout, stderr, err := run(t, folder, []string{"MEANWHILE=" + filepath.Join(folder, "meanwhile.sh")}, "build.sh", "it", ".", "-o", "it")
			require.NoError(t, err, stderr)
			require.Contains(t, stdout, test.said)
			require.FileExists(t, filepath.Join(folder, "ended"))
		})
	}
}

// What runs beside a build that fails ends with it, its children too: each holds the
// pipe open as long as it runs.
func TestBuildThatFailsLeavesNothing(t *testing.T) {
	folder := files(t, map[string]string{
		"go.mod": goMod, "main.go": broken,
		"meanwhile.sh": "#!/bin/bash\nexec 3>pipe\nsleep 600 &\ntouch started\nwait\n",
		// The compiler runs in other folders.
		"compile.sh": "#!/bin/bash\nuntil [[ -e \"${0%/*}/started\" ]]; do sleep 0.01; done\nexec \"$@\"\n",
	})

	pipe := filepath.Join(folder, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	closed := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(pipe)
		closed <- err
	}()

	_, _, err := run(t, folder, []string{"MEANWHILE=" + filepath.Join(folder, "meanwhile.sh")}, "build.sh", "it", ".", "-toolexec", filepath.Join(folder, "compile.sh"))
	require.Error(t, err)

	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("what ran beside the build goes on")
	}
}

// Modules that require one module in two versions are told what to type; a release
// is newer than its pre-releases.
func TestSharedModules(t *testing.T) {
	folder := files(t, map[string]string{
		"go.mod":       "module a\n\ngo 1.26\n\nrequire example.com/one v1.10.0\n\nrequire (\n\t// A comment.\n\texample.com/two v1.0.0-rc.1 // indirect\n\texample.com/own v1.0.0\n)\n",
		"tools/go.mod": "module b\n\ngo 1.26\n\nrequire (\n\texample.com/one v1.9.0\n\texample.com/two v1.0.0\n)\n",
		"same/go.mod":  "module c\n\ngo 1.26\n\nrequire example.com/one v1.9.0\n",
	})

	_, stderr, err := run(t, folder, nil, "shared-modules.sh", ".", "tools")
	require.Error(t, err)
	require.Contains(t, stderr, "tools requires other versions than the other modules: (cd tools && go get example.com/one@v1.10.0 && go mod tidy)\n")
	require.Contains(t, stderr, ". requires other versions than the other modules: (cd . && go get example.com/two@v1.0.0 && go mod tidy)\n")

	_, stderr, err = run(t, folder, nil, "shared-modules.sh", "same", "tools")
	require.NoError(t, err)
	require.Empty(t, stderr)
}
