// Package auth hashes passwords, normalises usernames, and issues and verifies
// access tokens.
package auth
