// Package controllers reconciles Leaderboards and LeaderboardClasses.
//
// A pass over a Leaderboard is a list of named steps (leaderboard_controller.go)
// that stops at the first one that cannot be done; what the steps found becomes
// conditions in one place (conditions.go) and is written in one patch. Names of
// what a tenant owns come from controllers/tenant, the objects in Kubernetes
// from controllers/workload, and what exists in Postgres and Redis is
// controllers/provision's.
package controllers
