package node

import (
	"bytes"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/process"
)

func TestHostNameIsThePods(t *testing.T) {
	for want, pod := range map[string]*corev1.Pod{
		"race-1":                {ObjectMeta: metav1.ObjectMeta{Name: "race-1"}},
		"other":                 {ObjectMeta: metav1.ObjectMeta{Name: "race-1"}, Spec: corev1.PodSpec{Hostname: "other"}},
		strings.Repeat("a", 62): {ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("a", 62) + "-long"}},
	} {
		if got := hostName(pod); got != want {
			t.Errorf("%s is called %s", pod.Name, got)
		}
	}
}

// A process has the name that it is given, and nobody else does.
func TestSetHostName(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("namespaces take root")
	}

	before, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}

	var output bytes.Buffer
	p, err := process.Start(process.Spec{Path: "/bin/cat", Args: []string{"cat", "/proc/sys/kernel/hostname"}, Output: &output,
		Prepare: func() error { return setHostName("race-1") }})
	if err != nil {
		t.Fatal(err)
	}

	<-p.Done
	if got := strings.TrimSpace(output.String()); got != "race-1" {
		t.Errorf("the process is on %q", got)
	}

	if after, err := os.Hostname(); err != nil || after != before {
		t.Errorf("the machine was %q and is %q: %v", before, after, err)
	}
}
