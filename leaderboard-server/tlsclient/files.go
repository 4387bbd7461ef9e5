package tlsclient

import (
	"crypto/tls"
	"fmt"
)

// Files returns a [Options].Certificate that reads the files for each connection, so that
// renewed ones are used without a restart.
func Files(certificate, key string) func() (*tls.Certificate, error) {
	return func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil { // the one may have been read before, and the other after they were replaced
			pair, err = tls.LoadX509KeyPair(certificate, key)
		}
		if err != nil {
			return nil, fmt.Errorf("read the client certificate: %w", err)
		}
		return &pair, nil
	}
}
