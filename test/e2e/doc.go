// Package e2e tests an installed platform from outside: it takes a kubeconfig
// (KUBECONFIG) and the address at which the cluster's ingress is reached
// (E2E_BASE_URL), and knows nothing else of the cluster. Every test has
// namespaces of its own and removes them.
//
// Run it with make e2e.
package e2e
