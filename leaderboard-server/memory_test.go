package main

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

func TestCgroupLimit(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		limit int64
	}{
		"no control groups":   {nil, 0},
		"version 2":           {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "268435456\n"}, 256 << 20},
		"version 2, no limit": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 0},
		"version 2, the parent's": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
			"sys/fs/cgroup/a/memory.max": "1000\n"}, 1000},
		"version 2, the parent's is lower": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "2000\n",
			"sys/fs/cgroup/a/memory.max": "1000\n"}, 1000},
		"version 2, own namespace": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000\n"}, 1000},
		"version 1": {map[string]string{"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/a\n0::/\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1000\n"}, 1000},
		"version 1, no limit": {map[string]string{"proc/self/cgroup": "4:memory:/a\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"version 1, the host's path in a container": {map[string]string{"proc/self/cgroup": "4:memory:/kubepods/pod1/c\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n"}, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{}
			for name, content := range c.files {
				files[name] = &fstest.MapFile{Data: []byte(content)}
			}
			require.Equal(t, c.limit, cgroupLimit(files))
		})
	}
}

func TestMemoryLimit(t *testing.T) {
	files := fstest.MapFS{"proc/self/cgroup": {Data: []byte("0::/\n")}, "sys/fs/cgroup/memory.max": {Data: []byte("1000\n")}}
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)

	require.Equal(t, int64(900), memoryLimit(files))
	debug.SetMemoryLimit(64 << 30)
	require.Equal(t, int64(64<<30), memoryLimit(files), "GOMEMLIMIT says it more precisely")
}

// The bounds follow the memory; what is configured wins.
func TestBoundsWithinMemory(t *testing.T) {
	const mebibyte = 1 << 20
	for _, c := range []struct {
		limit       int64
		connections int
		bodies      int64
	}{
		{0, 10_000, 64 * mebibyte}, // not known
		{256 * mebibyte * 9 / 10, 3686, 256 * mebibyte * 9 / 80},
		{32 * mebibyte, 512, 4 * mebibyte},
		{mebibyte, 64, mebibyte},
		{64 << 30, 10_000, 8 << 30},
	} {
		derived := withinMemory(config.HTTP{}, c.limit)
		require.Equal(t, c.connections, derived.MaxConnections)
		require.Equal(t, c.bodies, derived.BodyBudget)
	}

	explicit := config.HTTP{MaxConnections: 20_000, BodyBudget: 65536}
	require.Equal(t, explicit, withinMemory(explicit, 256*mebibyte))
}
