// Package functions is what the servers of games run inside Redis: a library of Lua
// functions, one a file. The operator loads it on every node of a class, so that games
// may call what is in it, and bring no code of their own.
//
// A library's name ends with a hash of its text, so those of several versions stand next
// to each other while games are rolled out.
package functions

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"strings"
)

//go:embed *.lua
var files embed.FS

// Function is a function of the library.
type Function struct {
	// Name is what FCALL and FCALL_RO call it.
	Name string
	// ReadOnly functions are called with FCALL_RO.
	ReadOnly bool
}

// The functions, which their files describe.
var (
	Apply    = declare("apply")
	Rank     = declare("rank", noWrites)
	Page     = declare("page", noWrites)
	Around   = declare("around", noWrites)
	Count    = declare("count", noWrites)
	State    = declare("state", noWrites)
	Begin    = declare("begin")
	Wipe     = declare("wipe", allowOOM)
	Finish   = declare("finish", allowOOM)
	Snapshot = declare("snapshot")
	Walk     = declare("walk", noWrites)
	// Forget deletes segments.
	Forget = declare("forget", allowOOM)
	// Moderate replaces entries of players.
	Moderate = declare("moderate")
	// TakeRate and ReturnRate count events under a rate.
	TakeRate   = declare("gcra")
	ReturnRate = declare("gcra_return")
)

// Flags of functions (https://redis.io/docs/latest/develop/programmability/lua-api/#script_flags).
const (
	noWrites = "no-writes"
	// allowOOM is for what makes a Redis that is full emptier. Such a function makes no key,
	// and writes no argument of any length (bounded in common.lua).
	allowOOM = "allow-oom"
)

// Rights are the rules of a user (ACL SETUSER) that may call the functions: Redis asks for
// the right to each command that they run, too.
var Rights = []string{
	"+fcall", "+fcall_ro",
	"+append", "+del", "+exists", "+get", "+getrange", "+pexpire", "+pttl", "+set", "+strlen", "+unlink",
	"+hdel", "+hget", "+hincrby", "+hkeys", "+hlen", "+hmget", "+hset", "+hsetnx",
	"+zadd", "+zcard", "+zcount", "+zrange", "+zrank", "+zrem", "+zscore",
}

// The library.
var (
	// Library is its name.
	Library string
	// Source is its text, as FUNCTION LOAD takes it.
	Source string
)

// declared are the functions with their texts, in the order in which they were declared.
var declared []*declaration

type declaration struct {
	Function
	file  string
	flags []string
}

func declare(file string, flags ...string) *Function {
	d := &declaration{file: file, flags: flags}
	for _, flag := range flags {
		d.ReadOnly = d.ReadOnly || flag == noWrites
	}

	declared = append(declared, d)
	return &d.Function
}

func init() {
	body := read("common")
	for _, d := range declared {
		body += "\nlocal function " + d.file + "(KEYS, ARGV)\nbyte, sub, call = string.byte, string.sub, redis.call\n" + read(d.file) + "end\n"
	}

	sum := sha256.Sum256([]byte(body))
	Library = "leaderboard_" + hex.EncodeToString(sum[:6])
	text := strings.Builder{}
	text.WriteString("#!lua name=" + Library + "\n" + body)

	for _, d := range declared {
		d.Name = Library + "_" + d.file
		text.WriteString("redis.register_function{function_name='" + d.Name + "', callback=" + d.file + ", flags={")
		if len(d.flags) > 0 {
			text.WriteString("'" + strings.Join(d.flags, "', '") + "'")
		}
		text.WriteString("}}\n")
	}

	Source = text.String()
}

func read(file string) string {
	text, err := files.ReadFile(file + ".lua")
	if err != nil {
		panic(err) // an embedded file is missing: no test has passed
	}
	return string(text)
}
