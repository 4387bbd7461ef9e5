package ingress

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pointer[T any](value T) *T { return &value }

func example() table {
	meta := metav1.ObjectMeta{Namespace: "arcade", Name: "game"}
	path := func(prefix string, kind networkingv1.PathType, port networkingv1.ServiceBackendPort) networkingv1.HTTPIngressPath {
		return networkingv1.HTTPIngressPath{Path: prefix, PathType: &kind,
			Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "game", Port: port}}}
	}

	ingress := &networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
		Host: "game.example", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{
			path("/", networkingv1.PathTypePrefix, networkingv1.ServiceBackendPort{Name: "http"}),
			path("/ops", networkingv1.PathTypePrefix, networkingv1.ServiceBackendPort{Number: 90}),
		}}},
	}}}}
	other := ingress.DeepCopy()
	other.Spec.IngressClassName, other.Spec.Rules[0].Host = pointer("another"), "other.example"
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "ops", Port: 90}}}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "arcade", Labels: map[string]string{discoveryv1.LabelServiceName: "game"}},
		Ports:      []discoveryv1.EndpointPort{{Name: pointer("http"), Port: pointer(int32(8080))}, {Name: pointer("ops"), Port: pointer(int32(9090))}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.0.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: pointer(true)}},
			{Addresses: []string{"10.0.0.1"}},
			{Addresses: []string{"10.0.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: pointer(false), Terminating: pointer(true)}},
		},
	}

	return build([]*networkingv1.Ingress{ingress, other}, []*corev1.Service{service}, []*discoveryv1.EndpointSlice{slice})
}

func TestRoutes(t *testing.T) {
	routes := example()
	for _, tt := range []struct {
		host, path string
		want       []string
	}{
		{"game.example", "/v1/x", []string{"10.0.0.1:8080", "10.0.0.2:8080"}},
		{"GAME.example:8088", "/", []string{"10.0.0.1:8080", "10.0.0.2:8080"}},
		{"game.example", "/ops/x", []string{"10.0.0.1:9090", "10.0.0.2:9090"}},
		{"game.example", "/opsx", []string{"10.0.0.1:8080", "10.0.0.2:8080"}},
	} {
		got, found := routes.find(tt.host, tt.path)
		if !found || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s%s goes to %v (%v) instead of %v", tt.host, tt.path, got, found, tt.want)
		}
	}

	for _, host := range []string{"elsewhere.example", "other.example", ""} {
		if got, found := routes.find(host, "/"); found {
			t.Errorf("%q goes to %v", host, got)
		}
	}
}

// What the ingress itself answers is a problem document, as what the games answer.
func TestFailuresAreProblemDocuments(t *testing.T) {
	c := &Controller{}
	routes := example()
	c.table.Store(&routes)
	answer := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://nobody.example/", nil)
	c.proxy().ServeHTTP(answer, request)

	var problem struct {
		Title, Detail string
		Status        int
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &problem); err != nil {
		t.Fatal(err)
	}
	if answer.Code != 404 || problem.Status != 404 || problem.Title != "Not Found" || problem.Detail == "" ||
		answer.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("the answer is %d %v %s", answer.Code, answer.Header(), answer.Body)
	}
}
