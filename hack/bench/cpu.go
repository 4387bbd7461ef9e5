package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of /proc's CPU times: USER_HZ is 100 on every Linux that Go
// runs on (proc(5)).
const tick = 10 * time.Millisecond

// processTime is the CPU time that a process, its threads and its children, ended
// ones included, have used. PostgreSQL's backends are children of its postmaster.
func processTime(pid int) (time.Duration, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}

	var total time.Duration
	found := false
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // ended in the meantime
		}

		// The name, in parentheses, may hold spaces.
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		if len(fields) < 15 {
			continue
		}

		own := path == fmt.Sprintf("/proc/%d/stat", pid)
		if !own && fields[1] != strconv.Itoa(pid) {
			continue
		}

		found = found || own
		columns := fields[11:13] // utime, stime
		if own {
			columns = fields[11:15] // and those of children that were waited for
		}

		for _, column := range columns {
			n, err := strconv.ParseInt(column, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s: %w", path, err)
			}
			total += time.Duration(n) * tick
		}
	}

	if !found {
		return 0, fmt.Errorf("there is no process %d", pid)
	}

	return total, nil
}

// ownTime is the CPU time that this process, the load generator, has used.
func ownTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("read the own CPU time: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// residentBytes is the memory that a process has in use.
func residentBytes(pid int) (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of a process: %w", err)
	}

	fields := strings.Fields(string(content))
	if len(fields) < 2 {
		return 0, fmt.Errorf("read the memory of process %d: %q", pid, content)
	}

	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the memory of a process: %w", err)
	}

	return pages * int64(os.Getpagesize()), nil
}
