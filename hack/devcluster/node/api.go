package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

func (a *Agent) logPath(namespace, pod, container string) string {
	return filepath.Join(a.LogDir, namespace, pod, container+".log")
}

// ServeAPI answers what the API server asks a kubelet for kubectl logs, until
// ctx ends.
func (a *Agent) ServeAPI(ctx context.Context, address string, config *tls.Config) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", a.serveLogs)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "a devcluster's node serves logs only", http.StatusNotImplemented)
	})

	server := &http.Server{Addr: address, Handler: mux, TLSConfig: config, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0)}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()

	if err := server.ListenAndServeTLS("", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the node's API: %w", err)
	}

	return nil
}

// serveLogs sends a container's log, its last lines only if asked, and goes on
// with what is added if asked to follow.
func (a *Agent) serveLogs(w http.ResponseWriter, r *http.Request) {
	file, err := os.Open(a.logPath(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container")))
	if err != nil {
		http.Error(w, "this container has printed nothing yet", http.StatusNotFound)
		return
	}
	defer file.Close()

	query := r.URL.Query()
	if lines, err := strconv.Atoi(query.Get("tailLines")); err == nil {
		seekLines(file, lines)
	}

	follow, _ := strconv.ParseBool(query.Get("follow"))
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()

	for {
		ended := !a.runs(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container")) // before the last look
		if _, err := io.Copy(w, file); err != nil || !follow || ended {
			return
		}
		_ = http.NewResponseController(w).Flush()

		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// runs says whether a container's process runs.
func (a *Agent) runs(namespace, pod, name string) bool {
	a.mutex.Lock()
	defer a.mutex.Unlock()

	for _, w := range a.workers {
		if current := w.current(); current.Namespace != namespace || current.Name != pod {
			continue
		}
		for _, c := range w.containers() {
			if c.spec.Name == name && c.isRunning() {
				return true
			}
		}
	}

	return false
}

// seekLines moves to the beginning of the last lines.
func seekLines(file *os.File, lines int) {
	const window = 1 << 20 // lines beyond the last MiB are not looked for
	info, err := file.Stat()
	if err != nil {
		return
	}
	if lines <= 0 {
		_, _ = file.Seek(0, io.SeekEnd)
		return
	}

	start := max(info.Size()-window, 0)
	content := make([]byte, info.Size()-start)
	n, _ := file.ReadAt(content, start)
	content = content[:n]
	at := len(content)

	for at > 0 {
		if content[at-1] == '\n' && at != len(content) {
			if lines--; lines == 0 {
				break
			}
		}
		at--
	}

	_, _ = file.Seek(start+int64(at), io.SeekStart)
}
