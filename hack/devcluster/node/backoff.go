package node

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// backoff is the kubelet's: 10 s, doubled at every restart up to 5 min, from
// the beginning again after 10 min of running.
type backoff struct {
	next time.Duration
}

const (
	firstBackoff = 10 * time.Second
	lastBackoff  = 5 * time.Minute
	backoffReset = 10 * time.Minute
)

func newBackoff() *backoff { return &backoff{} }

// ran notes how long the container ran.
func (b *backoff) ran(duration time.Duration) {
	if duration > backoffReset {
		b.next = 0
	}
}

// following is the pause after the next one.
func (b *backoff) following() time.Duration {
	return min(max(2*b.next, firstBackoff), lastBackoff)
}

// wait waits for the next start; the first restart is at once. It returns false
// if there is to be none.
func (b *backoff) wait(ctx context.Context, c *container) bool {
	pause := b.next
	b.next = b.following()
	if pause > 0 {
		c.setState(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff",
			Message: fmt.Sprintf("back-off %s restarting failed container", pause)}})
	}

	return c.worker.pause(ctx, pause)
}
