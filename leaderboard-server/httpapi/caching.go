package httpapi

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
)

// compressFrom is how many bytes an answer has at least that is compressed: smaller ones
// gain little, and most answers are.
const compressFrom = 4 << 10

// newCompressor compresses large answers for clients that accept it.
func newCompressor() (func(http.Handler) http.HandlerFunc, error) {
	compressor, err := gzhttp.NewWrapper(gzhttp.MinSize(compressFrom), gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false),
		gzhttp.ContentTypes([]string{mediaJSON, mediaYAML}))
	if err != nil {
		return nil, fmt.Errorf("make the compressor: %w", err)
	}
	return compressor, nil
}

// document is an answer that is the same for all who ask, with what caches go by.
type document struct {
	body []byte
	// tag is the entity tag (RFC 9110, section 8.8.3): the same on every server of the
	// game. It is weak, as the answer may be sent compressed.
	tag string
}

func newDocument(body []byte) document {
	sum := sha256.Sum256(body)
	return document{body, `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// answerAll answers with a document, which caches may keep for maxAge; 0: they ask each
// time whether it is still the same.
func answerAll(w http.ResponseWriter, r *http.Request, contentType string, d document, maxAge time.Duration) {
	h := w.Header()
	h.Set("Cache-Control", "public, no-cache")
	if maxAge > 0 {
		h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int64(maxAge.Seconds())))
	}
	h.Set("ETag", d.tag)

	if hasTag(r, d.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeBytes(w, contentType, http.StatusOK, d.body)
}

// answerPublic answers with a value that is the same for all who ask.
func (a *API) answerPublic(w http.ResponseWriter, r *http.Request, value any) {
	answerAll(w, r, mediaJSON, newDocument(encode(value)), a.HTTP.PageMaxAge)
}

// hasTag says whether the client has the document already (RFC 9110, section 13.1.2).
func hasTag(r *http.Request, tag string) bool {
	for _, list := range r.Header.Values("If-None-Match") {
		for candidate := range strings.SplitSeq(list, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}
