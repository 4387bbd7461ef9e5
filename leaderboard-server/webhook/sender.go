package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
)

const (
	// maxAnswer and maxAnswerHeader bound what is read of an answer, in bytes. Nothing in its
	// body counts.
	maxAnswer       = 4 << 10
	maxAnswerHeader = 16 << 10
	userAgent       = "leaderboard-server"
)

// failure is why a message was not delivered. Nothing of an answer but its status is told: it
// might be of somebody else's.
type failure struct {
	reason string
	// retryAfter is for how long the receiver asks to be left alone.
	retryAfter time.Duration
	// final: the receiver wants no more of it.
	final bool
}

// sender makes the requests of all webhooks.
type sender struct {
	client  *http.Client
	policy  endpoint.Policy
	timeout time.Duration
}

func newSender(o Options, authorities string) (*sender, error) {
	var roots *x509.CertPool // nil: those of the system
	if authorities != "" {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM([]byte(authorities)) {
			return nil, errors.New("the authorities of the webhooks have no certificate in PEM")
		}
	}

	dialer := &net.Dialer{Timeout: o.Timeout, Control: o.Policy.Control, Resolver: o.Resolver}
	return &sender{policy: o.Policy, timeout: o.Timeout, client: &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // not that of the environment: it would connect in our place
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    o.Timeout,
			MaxResponseHeaderBytes: maxAnswerHeader,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// send makes one request; nil: the message was delivered.
func (s *sender) send(ctx context.Context, e endpoint.Endpoint, m leaderboard.WebhookMessage) *failure {
	if err := s.policy.CheckURL(e.URL); err != nil {
		return &failure{reason: "the URL is not allowed: " + err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(m.Payload))
	if err != nil {
		return &failure{reason: "the URL is none"}
	}
	if err := sign(request.Header, e, m, time.Now()); err != nil {
		return &failure{reason: "the message could not be signed"}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", userAgent)

	response, err := s.client.Do(request)
	if err != nil {
		return &failure{reason: s.describe(err)}
	}
	defer response.Body.Close()

	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // so that the receiver can write its answer
	return judge(response)
}

// sign sets the headers of Standard Webhooks, with a signature of each secret that is good
// now: while one takes the place of another, receivers may have either.
func sign(header http.Header, e endpoint.Endpoint, m leaderboard.WebhookMessage, now time.Time) error {
	var signatures []string
	for _, secret := range e.Signing(now) {
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return err
		}
		signature, err := signer.Sign(m.ID, now, m.Payload)
		if err != nil {
			return err
		}
		signatures = append(signatures, signature)
	}
	if len(signatures) == 0 {
		return errors.New("the webhook has no secret")
	}

	header.Set(standardwebhooks.HeaderWebhookID, m.ID)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}

// judge says what an answer means: 2xx, and nothing else, that the message was taken.
func judge(response *http.Response) *failure {
	status := response.StatusCode
	switch {
	case status/100 == 2:
		return nil
	case status/100 == 3:
		return &failure{reason: fmt.Sprintf("the receiver answered %d, and redirects are not followed: set url to where it leads", status)}
	case status == http.StatusGone:
		return &failure{reason: "the receiver answered 410: it wants no more messages", final: true}
	}

	f := &failure{reason: fmt.Sprintf("the receiver answered %d", status)}
	if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 31); err == nil {
		f.retryAfter = time.Duration(seconds) * time.Second
	}
	return f
}

// describe names what went wrong with a connection, without the URL, which may hold a secret
// of the receiver's, and without addresses.
func (s *sender) describe(err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, endpoint.ErrAddress):
		return "the host leads to an address that is not allowed: neither public nor allowed by the class"
	case errors.As(err, &dns):
		return "the host name could not be looked up"
	case errors.As(err, &certificate):
		return "the receiver's certificate is not trusted, or not of this host"
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("the receiver did not answer within %s", s.timeout)
	case errors.Is(err, context.Canceled):
		return "the server was stopped"
	default:
		return "the receiver could not be connected to, or did not speak HTTP"
	}
}
