package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// row is one ratio or figure that has a target.
type row struct {
	Name  string  `json:"row"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	// Target is a bound, "" for a row that is for information.
	Target string `json:"target,omitempty"`
	// Holds is absent where there is no target.
	Holds *bool `json:"holds,omitempty"`
}

// report collects what a run measured.
type report struct {
	Machine string        `json:"machine"`
	Took    time.Duration `json:"took"`
	Rows    []row         `json:"rows"`
	Tables  []*table      `json:"tables"`
	out     io.Writer
}

// table has the absolute figures of a part.
type table struct {
	Title   string     `json:"title"`
	Note    string     `json:"note,omitempty"`
	Columns []string   `json:"columns"`
	Lines   [][]string `json:"lines"`
}

func newReport(ctx context.Context) *report {
	r := &report{Machine: machine(ctx), out: os.Stdout}
	fmt.Fprintln(r.out, r.Machine)
	return r
}

// atLeast and atMost add a row with a target.
func (r *report) atLeast(name string, value, target float64) {
	r.add(row{name, value, "", fmt.Sprintf(">= %g", target), new(value >= target)})
}

func (r *report) atMost(name string, value float64, unit string, target float64) {
	r.add(row{name, value, unit, fmt.Sprintf("<= %g", target), new(value <= target)})
}

func (r *report) inform(name string, value float64, unit string) {
	r.add(row{Name: name, Value: value, Unit: unit})
}

func (r *report) add(added row) {
	r.Rows = append(r.Rows, added)
	fmt.Fprintf(r.out, "  %-62s %s\n", added.Name, added.verdict())
}

func (w row) verdict() string {
	text := fmt.Sprintf("%8s %s", number(w.Value), w.Unit)
	if w.Holds == nil {
		return text
	}

	verdict := "missed"
	if *w.Holds {
		verdict = "holds"
	}

	return fmt.Sprintf("%-16s %-10s %s", text, w.Target, verdict)
}

// number has three digits that mean something.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func milliseconds(d time.Duration) string { return number(float64(d) / float64(time.Millisecond)) }

func (r *report) table(title, note string, columns ...string) *table {
	t := &table{Title: title, Note: note, Columns: columns}
	r.Tables = append(r.Tables, t)
	fmt.Fprintf(r.out, "\n%s\n  %s\n", title, strings.Join(columns, " | "))
	return t
}

func (r *report) line(t *table, cells ...string) {
	t.Lines = append(t.Lines, cells)
	fmt.Fprintf(r.out, "  %s\n", strings.Join(cells, " | "))
}

func (r *report) write(o options) error {
	fmt.Fprintf(r.out, "\n%d rows in %s\n", len(r.Rows), r.Took)
	for _, w := range r.Rows {
		fmt.Fprintf(r.out, "  %-62s %s\n", w.Name, w.verdict())
	}

	if o.out != "" {
		content, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(o.out, append(content, '\n'), 0o644); err != nil {
			return err
		}
	}

	if o.markdown != "" && o.only == "" && o.calls == "" {
		return os.WriteFile(o.markdown, []byte(r.markdown()), 0o644)
	}

	return nil
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<!-- Written by make bench. DO NOT EDIT. -->

# Benchmarks

Taken in one run of `+"`make bench`"+`, which took %s. Read the ratios: the absolute
figures are those of this machine, on which the load generator ran, too.

%s

How it is measured: [hack/bench](../hack/bench/README.md). What the figures mean, and why
some targets are missed: [performance.md](performance.md).

## Targets

| row | value | target | |
|---|---|---|---|
`, r.Took, r.Machine)

	for _, w := range r.Rows {
		verdict := ""
		if w.Holds != nil {
			if verdict = "**missed**"; *w.Holds {
				verdict = "holds"
			}
		}
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s |\n", w.Name, number(w.Value), w.Unit, w.Target, verdict)
	}

	for _, t := range r.Tables {
		fmt.Fprintf(&b, "\n## %s\n\n", t.Title)
		if t.Note != "" {
			fmt.Fprintf(&b, "%s\n\n", t.Note)
		}
		fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.Columns, " | "), strings.Repeat("---|", len(t.Columns)))

		for _, line := range t.Lines {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		}
	}

	return b.String()
}

// machine describes where this runs.
func machine(ctx context.Context) string {
	cpu, memory := "unknown CPU", "unknown memory"
	if content, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(content)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}

	var kib int64
	if content, err := os.ReadFile("/proc/meminfo"); err == nil {
		if _, err := fmt.Sscanf(string(content), "MemTotal: %d kB", &kib); err == nil {
			memory = fmt.Sprintf("%d GiB", (kib+1<<19)>>20)
		}
	}

	programVersion := func(program string) string {
		output, err := exec.CommandContext(ctx, program, "--version").Output()
		if err != nil {
			return program + " of unknown version"
		}
		return strings.TrimSpace(string(output))
	}
	return fmt.Sprintf("Machine: %d cores of %s, %s, %s/%s, %s. Stores: PostgreSQL with fsync on and its defaults but 256 MB of shared buffers; %s.",
		runtime.NumCPU(), cpu, memory, runtime.GOOS, runtime.GOARCH, runtime.Version(), programVersion("redis-server"))
}
