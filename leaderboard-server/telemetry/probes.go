package telemetry

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// probeTimeout bounds one look at a dependency; kubelets wait a second or more.
const probeTimeout = 900 * time.Millisecond

// Dependency is something that the server needs.
type Dependency struct {
	Name string
	// Check says whether it answers.
	Check func(ctx context.Context) error
	// Essential: without it the server can do nothing at all.
	Essential bool
	// Informative: the answer names it when it is missing, and the server is as
	// ready with it as without.
	Informative bool
}

// Probes answers /livez and /readyz.
//
// The server is ready from when it has started, which takes keys and Postgres,
// until it is told to stop. In between it stays ready as long as the essential
// dependencies and any other one are there, as it can then do a part of its work:
// without Redis it accepts scores, without Postgres it shows boards. The answer
// names what is missing.
type Probes struct {
	mu           sync.Mutex
	dependencies []Dependency
	started      atomic.Bool
	stopping     atomic.Bool
	waiting      atomic.Pointer[string]
}

// Watch adds a dependency.
func (p *Probes) Watch(dependency Dependency) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dependencies = append(p.dependencies, dependency)
}

// Waiting says why the server has not started yet.
func (p *Probes) Waiting(reason error) {
	text := reason.Error()
	p.waiting.Store(&text)
}

// Started says that everything the server needs was there.
func (p *Probes) Started() { p.started.Store(true) }

// Stopping says that the server should get no more requests.
func (p *Probes) Stopping() { p.stopping.Store(true) }

// Missing is a dependency that does not answer.
type Missing struct {
	Dependency string `json:"dependency"`
	Reason     string `json:"reason"`
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready bool `json:"ready"`
	// State is starting, serving, degraded or stopping.
	State   string    `json:"state"`
	Missing []Missing `json:"missing,omitempty"`
}

// Readiness looks at every dependency.
func (p *Probes) Readiness(ctx context.Context) Readiness {
	p.mu.Lock()
	dependencies := append([]Dependency(nil), p.dependencies...)
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()

	errs := make([]error, len(dependencies))
	var group sync.WaitGroup
	for i, d := range dependencies {
		group.Go(func() { errs[i] = d.Check(ctx) })
	}

	group.Wait()
	var missing []Missing
	answering, essential := 0, true

	for i, err := range errs {
		if err != nil {
			missing = append(missing, Missing{dependencies[i].Name, err.Error()})
			essential = essential && !dependencies[i].Essential
		} else if !dependencies[i].Essential && !dependencies[i].Informative {
			answering++
		}
	}

	switch {
	case p.stopping.Load():
		return Readiness{State: "stopping", Missing: missing}
	case !p.started.Load():
		if reason := p.waiting.Load(); reason != nil && missing == nil {
			missing = []Missing{{"startup", *reason}}
		}
		return Readiness{State: "starting", Missing: missing}
	case missing == nil:
		return Readiness{Ready: true, State: "serving"}
	}

	return Readiness{Ready: essential && answering > 0, State: "degraded", Missing: missing}
}

func (p *Probes) readyz(w http.ResponseWriter, r *http.Request) {
	readiness := p.Readiness(r.Context())
	status := http.StatusOK
	if !readiness.Ready {
		status = http.StatusServiceUnavailable
	}

	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(readiness) // who has gone needs no answer
}

func livez(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}
