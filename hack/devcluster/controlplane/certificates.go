package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity of every certificate: a devcluster is not kept for years.
const validity = 365 * 24 * time.Hour

// authority issues the cluster's certificates into a folder.
type authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// openAuthority loads the authority of the folder or makes one.
func openAuthority(dir string) (*authority, error) {
	a := &authority{dir: dir}
	certificate, err := os.ReadFile(a.path("ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		return a, a.create()
	} else if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}

	key, err := os.ReadFile(a.path("ca.key"))
	if err != nil {
		return nil, fmt.Errorf("read the authority's key: %w", err)
	}

	certificateBlock, _ := pem.Decode(certificate)
	keyBlock, _ := pem.Decode(key)
	if certificateBlock == nil || keyBlock == nil {
		return nil, fmt.Errorf("%s is damaged: run devcluster up --fresh", dir)
	}
	if a.certificate, err = x509.ParseCertificate(certificateBlock.Bytes); err != nil {
		return nil, fmt.Errorf("parse the authority: %w", err)
	}
	if a.key, err = x509.ParseECPrivateKey(keyBlock.Bytes); err != nil {
		return nil, fmt.Errorf("parse the authority's key: %w", err)
	}

	return a, nil
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) create() error {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of certificates: %w", err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "devcluster"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	a.certificate = template
	return a.write("ca", template, true)
}

// issue makes a certificate name.crt with name.key for a subject and, for
// servers, addresses.
func (a *authority) issue(name string, subject pkix.Name, hosts ...string) error {
	template := &x509.Certificate{Subject: subject, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}

	return a.write(name, template, false)
}

func (a *authority) write(name string, template *x509.Certificate, self bool) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}

	if self {
		a.key = key
	}

	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return fmt.Errorf("make a serial number: %w", err)
	}

	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign the certificate %s: %w", name, err)
	}

	if self {
		if a.certificate, err = x509.ParseCertificate(der); err != nil {
			return fmt.Errorf("parse the authority: %w", err)
		}
	}

	if err := writePEM(a.path(name+".crt"), "CERTIFICATE", der); err != nil {
		return err
	}

	return writeKey(a.path(name+".key"), key)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode a key: %w", err)
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("write a certificate: %w", err)
	}
	return nil
}

// serviceAccountKey makes the key that signs service account tokens, once.
func serviceAccountKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}

	return writeKey(path, key)
}
