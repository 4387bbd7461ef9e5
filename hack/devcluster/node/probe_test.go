package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestThresholds(t *testing.T) {
	probe := &corev1.Probe{SuccessThreshold: 2, FailureThreshold: 3}
	for name, tt := range map[string]struct {
		results string // + succeeded, - failed
		want    string // what each result tells: y or n where the verdict is new, else .
	}{
		"success needs two":             {"++", ".y"},
		"failure needs three":           {"---", "..n"},
		"one failure changes nothing":   {"++-++", ".y..."},
		"a run begins anew":             {"--+--+", "......"},
		"a verdict is told once":        {"++++---+", ".y....n."},
		"back to success after failure": {"---++", "..n.y"},
	} {
		t.Run(name, func(t *testing.T) {
			thresholds := newThresholds(probe)
			var got string
			for _, result := range tt.results {
				verdict, changed := thresholds.add(result == '+')
				switch {
				case !changed:
					got += "."
				case verdict:
					got += "y"
				default:
					got += "n"
				}
			}

			if got != tt.want {
				t.Errorf("%s told %s instead of %s", tt.results, got, tt.want)
			}
		})
	}
}

func TestImagesAreFoundByTheLastPartOfTheRepository(t *testing.T) {
	agent := NewAgent(Options{Images: map[string]string{"server": "/bin/server"}})
	for image, want := range map[string]bool{
		"server": true, "server:v1": true, "registry.example:5000/games/server:v1": true, "server@sha256:abc": true,
		"games/server": true, "servers": false, "server/other": false, "": false,
	} {
		if _, found := agent.image(image); found != want {
			t.Errorf("%q: found is %v", image, found)
		}
	}
}

func TestBackoffIsTheKubelets(t *testing.T) {
	b := newBackoff()
	if b.next != 0 {
		t.Errorf("the first restart waits %s", b.next)
	}

	for _, want := range []string{"10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"} {
		b.next = b.following()
		if b.next.String() != want {
			t.Errorf("waits %s instead of %s", b.next, want)
		}
	}

	b.ran(backoffReset + 1)
	if b.next != 0 {
		t.Error("a long run must reset it")
	}
}
