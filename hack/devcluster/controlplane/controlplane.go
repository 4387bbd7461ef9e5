// Package controlplane runs etcd, kube-apiserver, kube-controller-manager and
// kube-scheduler as child processes: this very binary, which is all of them.
package controlplane

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"strconv"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/config"
)

// Component is one process of the control plane.
type Component struct {
	// Name is also the name under which this binary is that component.
	Name string
	Args []string
	// HealthURL answers 200 once the component is ready; empty: it is ready when
	// it has started.
	HealthURL string
}

// Prepare makes certificates and the kubeconfig, and returns the components in
// the order in which they start.
func Prepare(c *config.Config) ([]Component, error) {
	dir := c.Path("pki")
	ca, err := openAuthority(dir)
	if err != nil {
		return nil, err
	}

	node := c.NodeIP().String()
	for name, subject := range map[string]pkix.Name{
		"admin":              {CommonName: "admin", Organization: []string{"system:masters"}},
		"node":               {CommonName: "system:node:" + NodeName, Organization: []string{"system:nodes"}},
		"controller-manager": {CommonName: "system:kube-controller-manager"},
		"scheduler":          {CommonName: "system:kube-scheduler"},
	} {
		if err := ca.issue(name, subject, node); err != nil {
			return nil, err
		}
	}

	if err := ca.issue("apiserver", pkix.Name{CommonName: "kube-apiserver"}, node, "127.0.0.1", "localhost", "10.96.0.1",
		"kubernetes", "kubernetes.default", "kubernetes.default.svc"); err != nil {
		return nil, err
	}
	if err := serviceAccountKey(ca.path("service-accounts.key")); err != nil {
		return nil, err
	}

	for user, path := range map[string]string{
		"admin":              c.Kubeconfig(),
		"controller-manager": ca.path("controller-manager.kubeconfig"),
		"scheduler":          ca.path("scheduler.kubeconfig"),
	} {
		if err := writeKubeconfig(ca, "https://"+c.APIAddress(), user, path); err != nil {
			return nil, err
		}
	}

	return components(c, ca)
}

// NodeName is the name of the one node.
const NodeName = "devcluster"

func components(c *config.Config, ca *authority) ([]Component, error) {
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}

	etcdClient, etcdPeer := loopback(ports[0]), loopback(ports[1])
	return []Component{
		{Name: "etcd", HealthURL: etcdClient + "/health", Args: []string{
			"--data-dir=" + c.Path("etcd"), "--name=devcluster", "--unsafe-no-fsync",
			"--listen-client-urls=" + etcdClient, "--advertise-client-urls=" + etcdClient,
			"--listen-peer-urls=" + etcdPeer, "--initial-advertise-peer-urls=" + etcdPeer,
			"--initial-cluster=devcluster=" + etcdPeer, "--log-level=warn",
		}},
		{Name: "kube-apiserver", HealthURL: "https://" + c.APIAddress() + "/readyz", Args: []string{
			"--etcd-servers=" + etcdClient,
			"--bind-address=" + c.NodeIP().String(), "--advertise-address=" + c.NodeIP().String(), "--secure-port=" + strconv.Itoa(c.APIPort),
			"--tls-cert-file=" + ca.path("apiserver.crt"), "--tls-private-key-file=" + ca.path("apiserver.key"),
			"--client-ca-file=" + ca.path("ca.crt"),
			"--kubelet-client-certificate=" + ca.path("admin.crt"), "--kubelet-client-key=" + ca.path("admin.key"),
			"--kubelet-certificate-authority=" + ca.path("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + ca.path("service-accounts.key"),
			"--service-account-signing-key-file=" + ca.path("service-accounts.key"),
			"--service-cluster-ip-range=" + config.ServiceCIDR,
			"--authorization-mode=Node,RBAC", "--profiling=false",
		}},
		{Name: "kube-controller-manager", Args: []string{
			"--kubeconfig=" + ca.path("controller-manager.kubeconfig"), "--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(ports[2]),
			"--root-ca-file=" + ca.path("ca.crt"), "--service-account-private-key-file=" + ca.path("service-accounts.key"),
			"--use-service-account-credentials", "--leader-elect=false", "--profiling=false",
		}},
		{Name: "kube-scheduler", Args: []string{
			"--kubeconfig=" + ca.path("scheduler.kubeconfig"), "--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(ports[3]),
			"--leader-elect=false", "--profiling=false",
		}},
	}, nil
}

func loopback(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

// freePorts finds ports that nobody listens on now; only the components
// themselves talk to them.
func freePorts(count int) ([]int, error) {
	ports := make([]int, count)
	for i := range ports {
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}

	return ports, nil
}

func writeKubeconfig(ca *authority, server, user, path string) error {
	read := func(name string) []byte {
		content, err := os.ReadFile(ca.path(name))
		if err != nil {
			return nil
		}
		return content
	}
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters["devcluster"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: read("ca.crt")}
	kubeconfig.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: read(user + ".crt"), ClientKeyData: read(user + ".key")}
	kubeconfig.Contexts["devcluster"] = &clientcmdapi.Context{Cluster: "devcluster", AuthInfo: user}
	kubeconfig.CurrentContext = "devcluster"
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		return fmt.Errorf("write the kubeconfig of %s: %w", user, err)
	}

	return nil
}
