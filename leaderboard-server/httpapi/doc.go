// Package httpapi is the HTTP API of leaderboard-server: routes, strict decoding,
// middleware and problem documents. openapi.yaml is its contract; the types of
// requests and answers are generated from it, and the server serves it.
package httpapi

//go:generate ../../bin/tools/oapi-codegen --config=oapi-codegen.yaml openapi.yaml
