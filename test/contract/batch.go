package contract

import (
	"encoding/json"
	"net/http"
	"strings"
)

// batchPath is of the call whose answer says of each item of its request whether it was
// accepted.
const batchPath = "/v1/scores/batch"

// withoutRefused returns the body of a request without the items that the server refused by
// themselves, for the rest to be held to the document.
func withoutRefused(request *http.Request, sent []byte, answer *http.Response, received []byte) []byte {
	if strings.TrimSuffix(request.URL.Path, "/") != batchPath || answer.StatusCode != http.StatusOK {
		return sent
	}

	var body map[string]json.RawMessage
	var items []json.RawMessage
	var answered struct{ Results []struct{ Status string } }
	if json.Unmarshal(sent, &body) != nil || json.Unmarshal(body["items"], &items) != nil || json.Unmarshal(received, &answered) != nil || len(items) != len(answered.Results) {
		return sent // it was accepted as it is, or the answer is wrong
	}

	accepted := []json.RawMessage{}
	for i, item := range items {
		if answered.Results[i].Status != "refused" {
			accepted = append(accepted, item)
		}
	}
	if len(accepted) == 0 { // the document wants one, and there was one
		accepted = append(accepted, json.RawMessage(`{"score": 0, "user_id": "01890000-0000-7000-8000-000000000000"}`))
	}

	var err error
	if body["items"], err = json.Marshal(accepted); err != nil {
		return sent
	}
	if sent, err = json.Marshal(body); err != nil {
		panic(err) // what was decoded encodes
	}
	return sent
}
