package contract

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3filter"
)

// batchPath is of the call whose answer says of each item of its request whether it was
// accepted.
const batchPath = "/v1/scores/batch"

// mediaLines is one JSON document a line.
const mediaLines = "application/x-ndjson"

func init() { openapi3filter.RegisterBodyDecoder(mediaLines, openapi3filter.JSONBodyDecoder) }

// linesOf are the documents of a body; a body that is one document is one.
func linesOf(header http.Header, body []byte) (list [][]byte) {
	if media, _, _ := mime.ParseMediaType(header.Get("Content-Type")); media != mediaLines {
		return [][]byte{body}
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			list = append(list, line)
		}
	}
	return list
}

// anItem stands for items that were all refused: the document wants one.
const anItem = `{"score": 0, "user_id": "01890000-0000-7000-8000-000000000000"}`

// withoutRefused returns the documents of a request without the items that the server refused by
// themselves, for the rest to be held to the contract.
func withoutRefused(request *http.Request, sent []byte, answer *http.Response, received []byte) [][]byte {
	lines := linesOf(request.Header, sent)
	if strings.TrimSuffix(request.URL.Path, "/") != batchPath || answer.StatusCode != http.StatusOK {
		return [][]byte{sent}
	}
	if media, _, _ := mime.ParseMediaType(request.Header.Get("Content-Type")); media == mediaLines {
		return acceptedLines(lines, linesOf(answer.Header, received))
	}

	var body map[string]json.RawMessage
	var items []json.RawMessage
	var answered struct{ Results []struct{ Status string } }
	if json.Unmarshal(sent, &body) != nil || json.Unmarshal(body["items"], &items) != nil || json.Unmarshal(received, &answered) != nil || len(items) != len(answered.Results) {
		return lines // it was accepted as it is, or the answer is wrong
	}

	accepted := []json.RawMessage{}
	for i, item := range items {
		if answered.Results[i].Status != "refused" {
			accepted = append(accepted, item)
		}
	}
	if len(accepted) == 0 {
		accepted = append(accepted, json.RawMessage(anItem))
	}

	var err error
	if body["items"], err = json.Marshal(accepted); err != nil {
		return lines
	}
	if sent, err = json.Marshal(body); err != nil {
		panic(err) // what was decoded encodes
	}
	return [][]byte{sent}
}

// acceptedLines are the lines of a stream that its answer has results for, but for those that
// were refused.
func acceptedLines(lines, results [][]byte) (accepted [][]byte) {
	for i, result := range results[:max(len(results)-1, 0)] { // the last one is the end
		var answered struct{ Status string }
		if json.Unmarshal(result, &answered) != nil || answered.Status != "refused" {
			accepted = append(accepted, lines[min(i, len(lines)-1)])
		}
	}
	if len(accepted) == 0 {
		accepted = append(accepted, []byte(anItem))
	}
	return accepted
}
