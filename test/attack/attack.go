// Package attack counts what tests try against the product that must be refused. `make attack`
// runs them and lists every attempt with its refusal.
package attack

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// File is the environment variable that names the file to which attempts are added; without
// it nothing is.
const File = "ATTACKS"

// Refused says that an attempt was refused, and with what. The test has made sure of it.
func Refused(tb testing.TB, attempt, refusal string) {
	tb.Helper()
	path := os.Getenv(File)
	if path == "" {
		return
	}

	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	name, _, _ := strings.Cut(tb.Name(), "/")
	// One write, so that lines of tests that run side by side are whole.
	_, err = fmt.Fprintf(file, "%s\t%s\t%s\n", name, oneLine(attempt), oneLine(refusal))
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
