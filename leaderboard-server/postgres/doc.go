// Package postgres is the ledger of leaderboard-server: players, boards, the log of
// score events and the standings folded from it, in one PostgreSQL schema.
//
// [Migrate] brings the schema up to date as its owner. [Open] connects as the
// server's role, which needs rights on rows only; the schema is found through
// search_path, set on the role or in the URL.
//
// Through PgBouncer in transaction mode: version 1.21 or later with
// max_prepared_statements, or default_query_exec_mode=cache_describe in the URL
// (which costs a plan per statement). [Ledger.TryLead] holds a session-level advisory
// lock and listens, on a connection that must reach PostgreSQL itself, or a pool in
// session mode: see [Options].DirectURL.
package postgres
