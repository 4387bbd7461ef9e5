// Package ingress is a small ingress controller: a reverse proxy on the
// machine's loopback address that serves the Ingress objects of the class
// "devcluster", balancing over the ready addresses of their Services.
package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Controller serves Ingress objects.
type Controller struct {
	client  kubernetes.Interface
	table   atomic.Pointer[table]
	next    atomic.Uint64
	changed chan struct{}
}

// New returns a controller.
func New(client kubernetes.Interface) *Controller {
	c := &Controller{client: client, changed: make(chan struct{}, 1)}
	c.table.Store(&table{})
	return c
}

// Run serves on the listener until ctx ends and then lets requests finish.
func (c *Controller) Run(ctx context.Context, listener net.Listener) error {
	if err := c.ensureClass(ctx); err != nil {
		return err
	}

	factory := informers.NewSharedInformerFactory(c.client, 0)
	ingresses, services := factory.Networking().V1().Ingresses(), factory.Core().V1().Services()
	endpointSlices := factory.Discovery().V1().EndpointSlices()

	for _, informer := range []cache.SharedIndexInformer{ingresses.Informer(), services.Informer(), endpointSlices.Informer()} {
		if _, err := informer.AddEventHandler(c.onChange()); err != nil {
			return fmt.Errorf("watch for the ingress: %w", err)
		}
	}

	factory.Start(ctx.Done())
	defer factory.Shutdown()

	factory.WaitForCacheSync(ctx.Done())

	server := &http.Server{Handler: c.proxy(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	for {
		select {
		case <-ctx.Done():
			shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			err := server.Shutdown(shutdown)
			if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
				err = errors.Join(err, serveErr)
			}
			return err
		case err := <-served:
			return fmt.Errorf("serve the ingress: %w", err)
		case <-c.changed:
			list, _ := ingresses.Lister().List(labels.Everything()) // listers do not fail
			serviceList, _ := services.Lister().List(labels.Everything())
			sliceList, _ := endpointSlices.Lister().List(labels.Everything())
			t := build(list, serviceList, sliceList)
			c.table.Store(&t)
			c.publish(ctx, list)
		}
	}
}

func (c *Controller) onChange() cache.ResourceEventHandler {
	notify := func() {
		select {
		case c.changed <- struct{}{}:
		default: // a rebuild is due already
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(_, _ any) { notify() },
		DeleteFunc: func(any) { notify() },
	}
}

func (c *Controller) ensureClass(ctx context.Context) error {
	class := &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: ClassName, Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}},
		Spec:       networkingv1.IngressClassSpec{Controller: "leaderboard.dev/devcluster"},
	}
	_, err := c.client.NetworkingV1().IngressClasses().Create(ctx, class, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the IngressClass: %w", err)
	}

	return nil
}

// publish writes where an Ingress is reached into its status.
func (c *Controller) publish(ctx context.Context, ingresses []*networkingv1.Ingress) {
	for _, ingress := range ingresses {
		if len(ingress.Status.LoadBalancer.Ingress) > 0 {
			continue
		}

		changed := ingress.DeepCopy()
		changed.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "localhost"}}
		_, err := c.client.NetworkingV1().Ingresses(ingress.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && ctx.Err() == nil {
			log.Printf("ingress: write the status of %s/%s: %v", ingress.Namespace, ingress.Name, err)
		}
	}
}

type backendsKey struct{}

func (c *Controller) proxy() http.Handler {
	reverse := &httputil.ReverseProxy{
		Transport: &balancer{controller: c, transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 512,
			IdleConnTimeout:     30 * time.Second, // below the server's, which must not close first
			DisableCompression:  true,
		}},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetXForwarded() // after the inbound ones were dropped: clients cannot choose them
			r.Out.Host = r.In.Host
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = "backend" // the balancer decides
		},
		FlushInterval: -1, // streams are passed on as they come
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				return
			}
			log.Printf("ingress: %s %s%s: %v", r.Method, r.Host, r.URL.Path, err)
			fail(w, http.StatusBadGateway, "the backend did not answer")
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		backends, found := c.table.Load().find(r.Host, r.URL.Path)
		switch {
		case !found:
			fail(w, http.StatusNotFound, "no Ingress has the host "+r.Host)
		case len(backends) == 0:
			w.Header().Set("Retry-After", "1")
			fail(w, http.StatusServiceUnavailable, "no Pod of this Service is ready")
		default:
			reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), backendsKey{}, backends)))
		}
	})
}

// fail answers with a problem document (RFC 9457), as the games do.
func fail(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
	if err != nil {
		panic(err) // text and a number always encode
	}

	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	w.Write(body) // who has gone needs no answer
}

// keptBody is a request's body that a failed attempt does not close: the
// transport closes it even where it could not connect, and the next backend is
// to get it whole. The proxy closes the real one when the request has ended.
type keptBody struct{ io.Reader }

// Close implements [io.Closer].
func (keptBody) Close() error { return nil }

// balancer sends requests to the backends in turn. Where a connection cannot be
// made, so that nothing was sent, it tries the next one.
type balancer struct {
	controller *Controller
	transport  *http.Transport
}

// RoundTrip implements [http.RoundTripper].
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	backends, _ := r.Context().Value(backendsKey{}).([]string)
	first := b.controller.next.Add(1)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = keptBody{r.Body}
	}

	var err error
	for i := range uint64(len(backends)) {
		r.URL.Host = backends[(first+i)%uint64(len(backends))]
		var response *http.Response
		if response, err = b.transport.RoundTrip(r); err == nil {
			return response, nil
		}

		var operation *net.OpError
		if !errors.As(err, &operation) || operation.Op != "dial" {
			return nil, err
		}
	}

	return nil, err
}
