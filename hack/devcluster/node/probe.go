package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe runs the container's probes until ctx ends: the startup probe first,
// then liveness and readiness beside each other.
func (c *container) probe(ctx context.Context) {
	if c.spec.StartupProbe != nil {
		if !c.watch(ctx, "Startup", c.spec.StartupProbe, func(ok bool) (goOn bool) {
			if ok {
				c.setProbed(func() { c.startup = true; c.ready = c.spec.ReadinessProbe == nil })
				return false
			}
			c.restart("startup")
			return false
		}) || !c.isStarted() {
			return
		}
	}

	var both sync.WaitGroup
	if c.spec.LivenessProbe != nil {
		both.Go(func() {
			c.watch(ctx, "Liveness", c.spec.LivenessProbe, func(ok bool) bool {
				if !ok {
					c.restart("liveness")
				}
				return ok
			})
		})
	}

	if c.spec.ReadinessProbe != nil {
		both.Go(func() {
			c.watch(ctx, "Readiness", c.spec.ReadinessProbe, func(ok bool) bool {
				c.setProbed(func() { c.ready = ok })
				return true
			})
		})
	}

	both.Wait()
}

func (c *container) isStarted() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.startup
}

func (c *container) setProbed(change func()) {
	c.mutex.Lock()
	change()
	c.mutex.Unlock()
	c.worker.notify()
}

// restart ends the process because a probe failed; runForever starts it anew.
func (c *container) restart(probe string) {
	pod := c.worker.current()
	c.worker.agent.events.Eventf(pod, corev1.EventTypeNormal, "Killing", "Container %s failed %s probe, will be restarted", c.spec.Name, probe)
	c.mutex.Lock()
	p := c.process
	c.mutex.Unlock()

	if p != nil {
		p.Stop(syscall.SIGTERM, gracePeriod(pod))
	}
}

// watch probes until ctx ends or the decision, which is told of every change of
// the verdict, says not to go on. It returns false if ctx ended.
func (c *container) watch(ctx context.Context, name string, probe *corev1.Probe, decide func(ok bool) (goOn bool)) bool {
	t := newThresholds(probe)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(probe.InitialDelaySeconds) * time.Second):
	}

	period := time.Duration(max(probe.PeriodSeconds, 1)) * time.Second
	tick := time.NewTicker(period)
	defer tick.Stop()

	for {
		err := c.check(ctx, probe)
		if ctx.Err() != nil {
			return false
		}

		if err != nil {
			c.worker.agent.events.Eventf(c.worker.current(), corev1.EventTypeWarning, "Unhealthy", "%s probe failed: %v", name, err)
		}

		if verdict, changed := t.add(err == nil); changed && !decide(verdict) {
			return true
		}

		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// thresholds turn single results into verdicts.
type thresholds struct {
	success, failure int32
	run              int32
	last, known      bool
	verdict          bool
}

func newThresholds(probe *corev1.Probe) *thresholds {
	return &thresholds{success: max(probe.SuccessThreshold, 1), failure: max(probe.FailureThreshold, 1)}
}

// add takes one result and returns the verdict and whether it is new.
func (t *thresholds) add(ok bool) (verdict, changed bool) {
	if t.run == 0 || ok != t.last {
		t.run, t.last = 0, ok
	}

	t.run++
	needed := t.failure
	if ok {
		needed = t.success
	}

	if t.run < needed || t.known && t.verdict == ok {
		return t.verdict, false
	}

	t.known, t.verdict = true, ok
	return ok, true
}

// check probes once, within the probe's timeout.
func (c *container) check(ctx context.Context, probe *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(probe.TimeoutSeconds, 1))*time.Second)
	defer cancel()

	switch {
	case probe.HTTPGet != nil:
		request, err := c.probeRequest(ctx, probe.HTTPGet)
		if err != nil {
			return err
		}
		response, err := probeClient.Do(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("HTTP probe failed with statuscode: %d", response.StatusCode)
		}
		return nil
	case probe.TCPSocket != nil:
		port, err := c.port(probe.TCPSocket.Port)
		if err != nil {
			return err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(c.worker.podIP(), port))
		if err != nil {
			return err
		}
		return conn.Close()
	default:
		return unsupported("probe of this kind")
	}
}

// probeClient keeps no connections: a probe is a connection of its own.
var probeClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (c *container) probeRequest(ctx context.Context, action *corev1.HTTPGetAction) (*http.Request, error) {
	port, err := c.port(action.Port)
	if err != nil {
		return nil, err
	}

	host := action.Host
	if host == "" {
		host = c.worker.podIP()
	}

	scheme := strings.ToLower(string(action.Scheme))
	if scheme == "" {
		scheme = "http"
	}

	target := url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String()+"/"+strings.TrimPrefix(action.Path, "/"), nil)
	if err != nil {
		return nil, err
	}

	request.Header.Set("User-Agent", "kube-probe/devcluster")
	for _, header := range action.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}

	return request, nil
}

// port resolves a port's name.
func (c *container) port(value intstr.IntOrString) (string, error) {
	if value.Type == intstr.Int {
		return strconv.Itoa(int(value.IntVal)), nil
	}

	for _, port := range c.spec.Ports {
		if port.Name == value.StrVal {
			return strconv.Itoa(int(port.ContainerPort)), nil
		}
	}

	return "", fmt.Errorf("container %s has no port %s", c.spec.Name, value.StrVal)
}
