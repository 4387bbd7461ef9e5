// Package tlsclient secures connections to the stores: which authorities and names are
// trusted, which certificate is shown, and why a store has refused that.
package tlsclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync/atomic"
)

// Options says who is trusted, and who asks.
type Options struct {
	// CA holds the certificates of authorities in PEM; empty: the system's are trusted.
	CA []byte
	// ServerName is the name that a server's certificate has to have. Empty: the host that
	// the connection leads to.
	ServerName string
	// AnyName accepts any name, if a trusted authority has signed the certificate.
	AnyName bool
	// Certificate returns the client's own, and is asked for each connection whose server
	// wants one; nil: there is none.
	Certificate func() (*tls.Certificate, error)
}

// ErrNoAuthority means that [Options].CA holds no certificate.
var ErrNoAuthority = errors.New("there is no certificate in PEM")

// Config is the options as crypto/tls takes them.
func Config(options Options) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: options.ServerName}
	if len(options.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(options.CA) {
			return nil, ErrNoAuthority
		}
	}

	if options.AnyName {
		config.InsecureSkipVerify = true // VerifyConnection does it, but for the name
		config.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(config.RootCAs, state) }
	}
	if options.Certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return options.Certificate() }
	}

	return config, nil
}

func verifyChain(roots *x509.CertPool, state tls.ConnectionState) error {
	verify := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, certificate := range state.PeerCertificates[1:] {
		verify.Intermediates.AddCert(certificate)
	}

	if _, err := state.PeerCertificates[0].Verify(verify); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}

// Handshake secures a connection to a host, which it closes if that fails. Errors of the
// connection, later ones too, are a [CertificateError] where that is their cause.
func Handshake(ctx context.Context, conn net.Conn, config *tls.Config, host string) (net.Conn, error) {
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}

	// A server may want a certificate and go on without one.
	wanted, given := false, config.GetClientCertificate
	config.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		wanted = true
		if given == nil {
			return &tls.Certificate{}, nil
		}
		return given(info)
	}

	secured := tls.Client(conn, config)
	err := secured.HandshakeContext(ctx)
	switch {
	case err != nil:
		_ = conn.Close()
		if wanted {
			err = explain(err, given != nil)
		}
		return nil, err
	case wanted:
		return &unanswered{Conn: secured, given: given != nil}, nil
	default:
		return secured, nil
	}
}

// unanswered is a connection whose server has asked for a certificate. Since TLS 1.3 it
// says what it thinks of the answer after the handshake, from the client's view.
type unanswered struct {
	*tls.Conn
	given    bool
	answered atomic.Bool
}

func (u *unanswered) Read(into []byte) (int, error) {
	n, err := u.Conn.Read(into)
	if n > 0 {
		u.answered.Store(true)
	}
	return n, u.explain(err)
}

func (u *unanswered) Write(from []byte) (int, error) {
	n, err := u.Conn.Write(from)
	return n, u.explain(err)
}

func (u *unanswered) explain(err error) error {
	if err == nil || u.answered.Load() {
		return err
	}
	return explain(err, u.given)
}

// CertificateError is why a server has ended a connection before it answered.
type CertificateError struct {
	// Missing: it wants a client certificate, and there is none. Otherwise it did not
	// accept the one that there is.
	Missing bool
	Err     error
}

// Error is what happened, with what the server said.
func (e *CertificateError) Error() string {
	if e.Missing {
		return "the server asks for a client certificate, and there is none: " + e.Err.Error()
	}
	return "the server did not accept the client certificate: " + e.Err.Error()
}

// Unwrap is what the server said. It is a list, of one, as go-redis takes a wrapper off
// that is not.
func (e *CertificateError) Unwrap() []error { return []error{e.Err} }

// explain makes a [CertificateError] of an error after a certificate was asked for, unless
// it has another cause. A server that got none may end the connection without a word.
func explain(err error, given bool) error {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if given && !Alert(err) {
		return err
	}
	return &CertificateError{Missing: !given, Err: err}
}

// Alert says whether an error is a TLS alert of the other side.
func Alert(err error) bool {
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "remote error"
}
