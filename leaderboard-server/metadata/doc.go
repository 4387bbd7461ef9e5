// Package metadata holds what games store with a submission to their rules: a JSON object
// of bounded size and depth, and a JSON Schema that a board may hold it to.
package metadata
