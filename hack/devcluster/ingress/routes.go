package ingress

import (
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// ClassName is the IngressClass that the proxy serves.
const ClassName = "devcluster"

// route sends what begins with prefix to a backend.
type route struct {
	prefix string
	exact  bool
	// backends are host:port of ready Pods.
	backends []string
}

// table maps hosts to routes, the longest prefix first.
type table map[string][]route

// find returns the backends for a request.
func (t table) find(host, path string) ([]string, bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}

	host = strings.ToLower(host)
	for _, key := range []string{host, ""} {
		for _, r := range t[key] {
			if r.matches(path) {
				return r.backends, true
			}
		}
	}

	return nil, false
}

// matches as the Ingress documentation says: prefixes match whole elements.
func (r route) matches(path string) bool {
	if r.exact {
		return path == r.prefix
	}
	prefix := strings.TrimSuffix(r.prefix, "/")
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// build makes the table from what the cluster holds.
func build(ingresses []*networkingv1.Ingress, services []*corev1.Service, endpointSlices []*discoveryv1.EndpointSlice) table {
	ports := servicePorts(services)
	t := table{}
	for _, ingress := range ingresses {
		if ingress.Spec.IngressClassName != nil && *ingress.Spec.IngressClassName != ClassName {
			continue
		}
		for _, rule := range ingress.Spec.Rules {
			if rule.HTTP == nil {
				continue
			}
			for _, path := range rule.HTTP.Paths {
				service := path.Backend.Service
				if service == nil {
					continue
				}

				port := service.Port.Name
				if port == "" {
					port = ports[portKey{ingress.Namespace, service.Name, service.Port.Number}]
				}

				t[rule.Host] = append(t[rule.Host], route{
					prefix:   path.Path,
					exact:    path.PathType != nil && *path.PathType == networkingv1.PathTypeExact,
					backends: endpoints(endpointSlices, ingress.Namespace, service.Name, port),
				})
			}
		}
	}

	for host := range t {
		slices.SortStableFunc(t[host], func(a, b route) int { return len(b.prefix) - len(a.prefix) })
	}

	return t
}

type portKey struct {
	namespace, service string
	number             int32
}

// servicePorts finds the names of Services' ports by their numbers.
func servicePorts(services []*corev1.Service) map[portKey]string {
	names := map[portKey]string{}
	for _, service := range services {
		for _, port := range service.Spec.Ports {
			names[portKey{service.Namespace, service.Name, port.Port}] = port.Name
		}
	}
	return names
}

// endpoints are the ready addresses of a Service's port.
func endpoints(all []*discoveryv1.EndpointSlice, namespace, service, portName string) []string {
	var addresses []string
	for _, slice := range all {
		if slice.Namespace != namespace || slice.Labels[discoveryv1.LabelServiceName] != service {
			continue
		}
		for _, port := range slice.Ports {
			if port.Port == nil || port.Name == nil || *port.Name != portName {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready != nil && !*endpoint.Conditions.Ready {
					continue // terminating Pods are not ready either
				}
				for _, address := range endpoint.Addresses {
					addresses = append(addresses, net.JoinHostPort(address, strconv.Itoa(int(*port.Port))))
				}
			}
		}
	}

	slices.Sort(addresses)
	return slices.Compact(addresses)
}
