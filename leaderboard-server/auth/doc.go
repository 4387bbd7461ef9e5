// Package auth hashes passwords, and issues and verifies access tokens.
package auth
