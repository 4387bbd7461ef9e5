// Package node is the cluster's one node: what a kubelet and a container
// runtime do on a machine, it does with local processes. Each Pod gets a
// network namespace; each container a file tree of its own (chroot) with its
// volumes at their mount paths, and a process namespace. An image is a static
// binary of this machine.
//
// Not there: exec and gRPC probes, kubectl exec and port-forward, host paths,
// persistent volumes, resource enforcement, an emptyDir shared by two
// containers. A Pod that needs one of them does not start and says why.
package node

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/version"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/network"
)

// Options are what an Agent needs.
type Options struct {
	Client kubernetes.Interface
	Bridge *network.Bridge
	// Name of the node.
	Name string
	// IP of the node, where the API server is as well.
	IP netip.Addr
	// APIPort of the API server and KubeletPort of the node's own API.
	APIPort, KubeletPort int
	// Dir keeps the file trees of containers.
	Dir string
	// LogDir keeps what containers print.
	LogDir string
	// Images maps the last part of an image's repository to a static binary.
	Images map[string]string
}

// Agent runs the Pods that are scheduled to its node.
type Agent struct {
	Options
	events     record.EventRecorder
	secrets    corev1listers.SecretLister
	configMaps corev1listers.ConfigMapLister
	pods       corev1listers.PodLister

	mutex   sync.Mutex
	workers map[types.UID]*worker
	running sync.WaitGroup
}

// NewAgent returns an agent that does not run yet.
func NewAgent(options Options) *Agent {
	return &Agent{Options: options, workers: map[types.UID]*worker{}}
}

// Run registers the node, runs its Pods until ctx ends, and then ends every
// process. It returns once they have ended.
func (a *Agent) Run(ctx context.Context) error {
	broadcaster := record.NewBroadcaster()
	defer broadcaster.Shutdown()

	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: a.Client.CoreV1().Events("")})
	a.events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "devcluster", Host: a.Name})
	if err := a.register(ctx); err != nil {
		return err
	}

	everything := informers.NewSharedInformerFactory(a.Client, 0)
	a.secrets, a.configMaps = everything.Core().V1().Secrets().Lister(), everything.Core().V1().ConfigMaps().Lister()
	everything.Core().V1().Secrets().Informer()
	everything.Core().V1().ConfigMaps().Informer()
	mine := informers.NewSharedInformerFactoryWithOptions(a.Client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", a.Name).String()
	}))

	a.pods = mine.Core().V1().Pods().Lister()
	_, err := mine.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { a.sync(ctx, o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { a.sync(ctx, o.(*corev1.Pod)) },
		DeleteFunc: a.forget,
	})
	if err != nil {
		return fmt.Errorf("watch Pods: %w", err)
	}

	everything.Start(ctx.Done())
	defer everything.Shutdown()

	everything.WaitForCacheSync(ctx.Done())
	mine.Start(ctx.Done())
	defer mine.Shutdown()

	a.heartbeat(ctx)
	a.running.Wait()
	return nil
}

// sync hands a Pod to its worker, making one for a new Pod.
func (a *Agent) sync(ctx context.Context, pod *corev1.Pod) {
	if ctx.Err() != nil {
		return
	}

	a.mutex.Lock()
	defer a.mutex.Unlock()

	w := a.workers[pod.UID]
	if w == nil {
		if (pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed) && pod.DeletionTimestamp == nil {
			return // it has run
		}
		w = newWorker(a, pod)
		a.workers[pod.UID] = w
		a.running.Go(func() {
			w.run(ctx)
			a.mutex.Lock()
			defer a.mutex.Unlock()
			delete(a.workers, pod.UID)
		})
	}

	w.update(pod)
}

// forget ends a Pod whose object is gone already, as after a forced deletion.
func (a *Agent) forget(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}

	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}

	a.mutex.Lock()
	defer a.mutex.Unlock()

	if w := a.workers[pod.UID]; w != nil {
		w.kill()
	}
}

// register makes or updates the Node object.
func (a *Agent) register(ctx context.Context) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: a.Name, Labels: map[string]string{
		corev1.LabelHostname: a.Name, corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH,
		corev1.LabelTopologyZone: "local",
	}}}

	if _, err := a.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("register the node: %w", err)
	}

	return a.updateNode(ctx)
}

// capacity is what the node offers, and what a container without limits sees as
// its limit. It is not enforced.
func capacity() corev1.ResourceList {
	return corev1.ResourceList{
		// Twice the cores: requests are made for real machines, not for a demo on one.
		corev1.ResourceCPU: *resource.NewQuantity(2*int64(runtime.NumCPU()), resource.DecimalSI),
		// What the Pods of a laptop's games need.
		corev1.ResourceMemory:           resource.MustParse("16Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
		corev1.ResourceEphemeralStorage: resource.MustParse("10Gi"),
	}
}

func (a *Agent) updateNode(ctx context.Context) error {
	node, err := a.Client.CoreV1().Nodes().Get(ctx, a.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the node: %w", err)
	}

	now := metav1.Now()
	node.Status.Capacity, node.Status.Allocatable = capacity(), capacity()
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: a.IP.String()}, {Type: corev1.NodeHostName, Address: a.Name}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(a.KubeletPort)
	node.Status.NodeInfo.KubeletVersion, node.Status.NodeInfo.OperatingSystem = version.Get().GitVersion+"-devcluster", runtime.GOOS
	node.Status.NodeInfo.Architecture, node.Status.NodeInfo.ContainerRuntimeVersion = runtime.GOARCH, "process://1"
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		Message: "processes can be started", LastHeartbeatTime: now, LastTransitionTime: now}
	if len(node.Status.Conditions) > 0 && node.Status.Conditions[0].Status == corev1.ConditionTrue {
		ready.LastTransitionTime = node.Status.Conditions[0].LastTransitionTime
	}

	node.Status.Conditions = []corev1.NodeCondition{ready}
	if _, err := a.Client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("write the node's status: %w", err)
	}

	return nil
}

// heartbeat renews the node's lease until ctx ends.
func (a *Agent) heartbeat(ctx context.Context) {
	const period, validity = 10 * time.Second, 40 * time.Second // the kubelet's
	tick := time.NewTicker(period)
	defer tick.Stop()

	for {
		attempt, cancel := context.WithTimeout(ctx, period/2)
		if err := a.renewLease(attempt, validity); err != nil && ctx.Err() == nil {
			logf("renew the node's lease: %v", err)
		}

		if err := a.updateNode(attempt); err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) {
			logf("%v", err)
		}

		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (a *Agent) renewLease(ctx context.Context, validity time.Duration) error {
	leases := a.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	seconds := int32(validity.Seconds())
	now := metav1.NewMicroTime(time.Now())
	lease, err := leases.Get(ctx, a.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: a.Name},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &a.Name, LeaseDurationSeconds: &seconds, RenewTime: &now}}
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
		return err
	} else if err != nil {
		return err
	}

	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &a.Name, &seconds, &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}
