package signature

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/require"
)

// example is the one of the package's comment: a client may hold its code to it. Its base is
//
//	"@method": POST
//	"@path": /v1/scores/submit
//	"content-digest": sha-256=:3hwueTW6/8Ag1AOSuxR+OxzvZNCrgFT5ctFrK10KHaQ=:
//	"idempotency-key": 8e03978e-40d5-43e8-bc93-6894a57f9324
//	"@signature-params": ("@method" "@path" "content-digest" "idempotency-key");created=1618884473
var example = map[string]string{
	DigestHeader:    "sha-256=:3hwueTW6/8Ag1AOSuxR+OxzvZNCrgFT5ctFrK10KHaQ=:",
	KeyHeader:       "8e03978e-40d5-43e8-bc93-6894a57f9324",
	InputHeader:     `sig=("@method" "@path" "content-digest" "idempotency-key");created=1618884473`,
	SignatureHeader: "sig=:30WwhR6SdKs7msQCg9gB49nAR/vo97kl4ttsOrzMyf0=:",
}

const (
	// exampleKey is the signing_key of the example: the bytes from 0 to 31.
	exampleKey  = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
	exampleBody = `{"score": 960, "game_id": "arena"}`
)

func exampleRequest() *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/scores/submit", strings.NewReader(exampleBody))
	for name, value := range example {
		r.Header.Set(name, value)
	}
	return r
}

func TestTheExample(t *testing.T) {
	r := exampleRequest()
	require.True(t, Present(r.Header))
	s, err := Read(r.Header)
	require.NoError(t, err)
	require.True(t, s.Created.Equal(time.Unix(1618884473, 0)))
	require.True(t, s.Expires.IsZero())
	require.True(t, s.Digests([]byte(exampleBody)))
	require.True(t, s.Signs(r, []byte(exampleKey)))

	require.False(t, s.Digests([]byte(exampleBody[1:])))
	require.False(t, s.Signs(r, []byte(exampleKey[1:])))
	r.Method = http.MethodPut
	require.False(t, s.Signs(r, []byte(exampleKey)))
}

func TestTheSameInAnotherSpelling(t *testing.T) {
	for _, change := range []struct{ name, value string }{
		{InputHeader, `sig=(  "@method" "@path"  "content-digest" "idempotency-key" ); created=1618884473`},
		{InputHeader, ` sig=("@method" "@path" "content-digest" "idempotency-key");created=1618884473`},
		{SignatureHeader, "  sig=:30WwhR6SdKs7msQCg9gB49nAR/vo97kl4ttsOrzMyf0=:"},
	} {
		r := exampleRequest()
		r.Header.Set(change.name, change.value)
		s, err := Read(r.Header)
		require.NoError(t, err, change.value)
		require.True(t, s.Signs(r, []byte(exampleKey)), change.value)
	}
}

// Whatever comes in the headers is refused under the name of one of them, or is read: then it
// covers everything once, and is written the same again.
func FuzzRead(f *testing.F) {
	f.Add(example[InputHeader], example[SignatureHeader], example[DigestHeader], example[KeyHeader])
	f.Add(`sig=("@path" "@method" "content-digest" "idempotency-key");created=1;alg="hmac-sha256";keyid="k";expires=2;nonce="n";tag="t"`, example[SignatureHeader], `sha-512=::, `+example[DigestHeader], `"k"`)
	f.Add(`sig=("@path";req);created=@1`, `sig=?1`, `sha-256`, ``)
	f.Add(`a=(), b=()`, `a=::, b=::`, `sha-256=:AA==:;x`, "\x00")
	f.Fuzz(func(t *testing.T, input, sig, digest, key string) {
		h := http.Header{InputHeader: {input}, SignatureHeader: {sig}, DigestHeader: {digest}, KeyHeader: {key}}
		s, err := Read(h)
		if err != nil {
			var header *HeaderError
			require.ErrorAs(t, err, &header)
			require.Contains(t, []string{InputHeader, SignatureHeader, DigestHeader, KeyHeader}, header.Header)
			require.NotContains(t, header.Message, "\n")
			return
		}

		require.ElementsMatch(t, components, s.covered)
		require.Len(t, s.mac, sha256.Size)
		require.Len(t, s.digest, sha256.Size)
		require.False(t, s.Created.Before(time.Unix(0, 0)))
		again, err := httpsfv.UnmarshalList([]string{s.parameters})
		require.NoError(t, err)
		text, err := httpsfv.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, s.parameters, text)

		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/scores/submit", nil)
		r.Header = h
		require.Equal(t, 4, strings.Count(string(s.base(r)), "\n")-strings.Count(digest+key, "\n"))
	})
}

// BenchmarkVerify is what a signature costs a submission of some 40 bytes, but for the key.
func BenchmarkVerify(b *testing.B) {
	r := exampleRequest()
	b.ReportAllocs()
	for b.Loop() {
		s, err := Read(r.Header)
		if err != nil || !s.Digests([]byte(exampleBody)) || !s.Signs(r, []byte(exampleKey)) {
			b.Fatal("the example is not good")
		}
	}
}
