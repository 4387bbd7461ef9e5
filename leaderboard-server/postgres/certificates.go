package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5"
)

// errCertificates repeats nothing of the URL that names the files.
var errCertificates = errors.New("the files that sslcert, sslkey and sslrootcert of the database URL name cannot be used")

// readsCertificates says whether the URL, or the environment that pgx reads as well, named
// files with certificates.
func readsCertificates(c *pgx.ConnConfig) bool {
	return c.TLSConfig != nil && (c.TLSConfig.RootCAs != nil || len(c.TLSConfig.Certificates) > 0)
}

// renewCertificates reads those files again for one connection, so that a renewed
// certificate is used without a restart.
func renewCertificates(url string, c *pgx.ConnConfig) error {
	if !readsCertificates(c) {
		return nil
	}

	read, err := pgx.ParseConfig(url)
	if err != nil { // certificate and key may have been read before and after they were replaced
		read, err = pgx.ParseConfig(url)
	}
	if err != nil {
		return errCertificates
	}

	c.TLSConfig, c.Fallbacks = read.TLSConfig, read.Fallbacks
	return nil
}
