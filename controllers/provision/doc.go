// Package provision makes, checks and removes what a tenant owns in the stores
// of its class: a Postgres schema with its roles, and a Redis ACL user.
//
// Every function may be repeated: it looks first, writes only what differs, and
// a second run after a crash anywhere goes on where the first one ended.
//
// Logins are rotated without downtime between the two slots of a tenant:
//
//	slot a serves ──▶ Secret holds b's new password ──▶ SetPassword(b)
//	      ▲                                                │
//	      │                                          Pods rolled to b
//	      │                                                ▼
//	slot b serves ◀──────────── DisableLogin(a): NOLOGIN, sessions ended
//
// The password is in the Secret before a role has it, and the slot that is not
// served follows from the one that is: nothing has to be remembered, so a crash
// leaks no login.
package provision
