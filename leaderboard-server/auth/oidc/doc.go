// Package oidc verifies ID tokens of issuers elsewhere (OpenID Connect Core 1.0), with keys that
// it finds by discovery.
//
// The keys of an issuer are fetched when they are first needed, and again when they are old or
// when a token names one that is not known:
//
//	          first token            refreshAfter is over: in the background
//	no keys ───────────────► keys ─────────────────────────────────────────► keys
//	   ▲ │                    │ ▲     a key that is not known, once in
//	   └─┘ fails: pause,      └─┘     unknownKeyPause: the token waits for it
//	       which doubles       staleAfter is over, and nothing could be fetched: no keys
//
// One fetch of an issuer runs at a time, whoever needs it. An issuer that is down, slow or wrong
// costs the tokens of its own players at most fetchTimeout each, and nothing while it pauses; as
// long as its last keys are good they verify what they signed.
package oidc
