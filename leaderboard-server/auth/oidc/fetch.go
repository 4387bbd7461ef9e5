package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// fetchTimeout bounds a fetch of keys, discovery included.
	fetchTimeout = 5 * time.Second
	// maxDocument bounds what an issuer answers, in bytes. Those with the most keys have some
	// ten kilobytes.
	maxDocument = 256 << 10
	// maxKeys bounds the keys of an issuer.
	maxKeys = 64
)

// newClient makes a client for issuers. It follows no redirects: an issuer's documents are
// where it says.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = 1, 2
	transport.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{Transport: transport, Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it redirects") }}
}

// metadata is what is used of an issuer's configuration (OpenID Connect Discovery 1.0, section
// 3).
type metadata struct {
	Issuer  string `json:"issuer"`
	JWKSURI string `json:"jwks_uri"`
}

// fetch finds an issuer's keys.
func (i *issuer) fetch(ctx context.Context) (jose.JSONWebKeySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()

	var set jose.JSONWebKeySet
	var about metadata
	if err := i.allowed(i.settings.Issuer); err != nil {
		return set, err
	}
	if err := i.get(ctx, strings.TrimSuffix(i.settings.Issuer, "/")+"/.well-known/openid-configuration", &about); err != nil {
		return set, fmt.Errorf("fetch the configuration: %w", err)
	}
	if about.Issuer != i.settings.Issuer {
		return set, fmt.Errorf("the configuration is of the issuer %.200q", about.Issuer)
	}
	if err := i.allowed(about.JWKSURI); err != nil {
		return set, fmt.Errorf("the configuration has a jwks_uri that cannot be used: %w", err)
	}

	if err := i.get(ctx, about.JWKSURI, &set); err != nil {
		return set, fmt.Errorf("fetch the keys: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return set, fmt.Errorf("there are %d keys, more than %d", len(set.Keys), maxKeys)
	}
	return set, nil
}

// allowed refuses URLs that are not of HTTPS, unless that is allowed.
func (i *issuer) allowed(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !i.insecure) {
		return fmt.Errorf("%.200q is not an https URL", text)
	}
	return nil
}

// get reads a JSON document.
func (i *issuer) get(ctx context.Context, url string, document any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	response, err := i.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()

	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", request.URL.Redacted(), response.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	switch {
	case err != nil:
		return err
	case len(content) > maxDocument:
		return fmt.Errorf("%s has more than %d bytes", request.URL.Redacted(), maxDocument)
	}
	if err := json.Unmarshal(content, document); err != nil {
		return fmt.Errorf("%s is not as it should be: %w", request.URL.Redacted(), err)
	}
	return nil
}
