package tlsclient

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// write puts a new certificate of the authority into two files.
func write(t *testing.T, authority *stores.Authority, certificate, key string) {
	t.Helper()
	c, k, err := authority.Issue()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(certificate, c, 0o600))
	require.NoError(t, os.WriteFile(key, k, 0o600))
}

// A certificate that is renewed is shown to the next connection, and one whose files do not
// belong together is an error that says so.
func TestCertificatesAreReadForEachConnection(t *testing.T) {
	authority, err := stores.NewAuthority()
	require.NoError(t, err)
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write(t, authority, certificate, key)
	config, err := Config(Options{CA: authority.PEM, Certificate: Files(certificate, key)})
	require.NoError(t, err)

	c, k, err := authority.Issue()
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(c, k)
	require.NoError(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert})
	require.NoError(t, err)
	defer listener.Close()

	shown := make(chan string, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			server := conn.(*tls.Conn)
			if server.HandshakeContext(t.Context()) == nil {
				shown <- string(server.ConnectionState().PeerCertificates[0].Raw)
			}
			_ = conn.Close()
		}
	}()
	connect := func() error {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
		require.NoError(t, err)
		secured, err := Handshake(t.Context(), conn, config, "127.0.0.1")
		if err == nil {
			_ = secured.Close()
		}
		return err
	}

	require.NoError(t, connect())
	first := <-shown
	write(t, authority, certificate, key)
	require.NoError(t, connect())
	require.NotEqual(t, first, <-shown)

	other := filepath.Join(dir, "other.key")
	write(t, authority, filepath.Join(dir, "other.crt"), other)
	require.NoError(t, os.Rename(other, key))
	require.ErrorContains(t, connect(), "read the client certificate")
}
