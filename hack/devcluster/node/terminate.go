package node

import (
	"context"
	"net/http"
	"syscall"
	"time"
)

// terminate runs the preStop hook, asks the process to end and, after grace,
// kills it; at once if killed is closed.
func (c *container) terminate(grace time.Duration, killed <-chan struct{}) {
	c.mutex.Lock()
	c.stopping = true
	p := c.process
	c.mutex.Unlock()
	if p == nil {
		return
	}

	deadline := time.Now().Add(grace)
	if grace > 0 {
		c.preStop(deadline, p.Done, killed)
	}

	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Done:
		return
	case <-killed:
	case <-time.After(time.Until(deadline)):
	}

	p.Signal(syscall.SIGKILL)
	<-p.Done
}

// preStop runs the container's hook, until the deadline at the longest.
func (c *container) preStop(deadline time.Time, ended, killed <-chan struct{}) {
	if c.spec.Lifecycle == nil || c.spec.Lifecycle.PreStop == nil {
		return
	}

	hook := c.spec.Lifecycle.PreStop
	switch {
	case hook.Sleep != nil:
		select {
		case <-time.After(min(time.Duration(hook.Sleep.Seconds)*time.Second, time.Until(deadline))):
		case <-ended:
		case <-killed:
		}
	case hook.HTTPGet != nil:
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		request, err := c.probeRequest(ctx, hook.HTTPGet)
		if err != nil {
			return
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
	}
}
