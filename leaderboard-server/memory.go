package main

import (
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// memoryLimit is how much memory this process may take, 0: not known. It is
// GOMEMLIMIT, or nine tenths of what the container or control group may take.
func memoryLimit(root fs.FS) int64 {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return limit
	}
	return cgroupLimit(root) / 10 * 9
}

// cgroupLimit is the least memory limit of the control groups that this process is
// in, 0: there is none.
func cgroupLimit(root fs.FS) int64 {
	membership, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}

	var least int64
	for line := range strings.Lines(string(membership)) {
		// hierarchy:controllers:path, as in "0::/a/b" (version 2), "4:memory:/a/b".
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) != 3:
		case parts[1] == "":
			least = lower(least, limitAlong(root, "sys/fs/cgroup", parts[2], "memory.max"))
		case parts[1] == "memory":
			least = lower(least, limitAlong(root, "sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes"))
		}
	}

	return least
}

// limitAlong is the least limit of a group and those that it is in. In a container
// the path may be the host's, and the container's own group the mount itself.
func limitAlong(root fs.FS, mount, group, file string) (least int64) {
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		if content, err := fs.ReadFile(root, path.Join(mount, group, file)); err == nil {
			least = lower(least, parseLimit(string(content)))
		}
		if group == "/" {
			return least
		}
	}
}

// parseLimit reads a limit: "max" (version 2) and what no machine has (version 1)
// are none.
func parseLimit(text string) int64 {
	const unlimited = 1 << 60
	limit, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || limit >= unlimited {
		return 0
	}
	return limit
}

// lower is the lower of two limits, of which 0 is none.
func lower(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

const (
	// connectionBytes is what a connection is counted as: measured, 22 KiB idle, and
	// 29 KiB while a body of the usual size comes slowly.
	connectionBytes = 32 << 10
	// Bounds of the connections where no number is configured.
	fewestConnections, mostConnections = 64, 10_000
	// Bounds of what bodies take where nothing is configured.
	leastBodyBudget, usualBodyBudget = 1 << 20, 64 << 20
)

// withinMemory sets the bounds that are not configured to what the memory limit
// allows, 0: it is not known. Half of it is for connections, an eighth for bodies.
func withinMemory(settings config.HTTP, limit int64) config.HTTP {
	connections, bodies := int64(mostConnections), int64(usualBodyBudget)
	if limit > 0 {
		connections = min(max(limit/2/connectionBytes, fewestConnections), mostConnections)
		bodies = max(limit/8, leastBodyBudget)
	}

	if settings.MaxConnections == 0 {
		settings.MaxConnections = int(connections)
	}
	if settings.BodyBudget == 0 {
		settings.BodyBudget = bodies
	}

	return settings
}
