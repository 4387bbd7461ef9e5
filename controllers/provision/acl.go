package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// user is what ACL GETUSER says of a user.
type user struct {
	flags, passwords         []string
	commands, keys, channels string
	// selectors are further rules, which the operator never sets.
	selectors int
}

// aclUser looks a user up; nil: there is none.
func aclUser(ctx context.Context, node *redis.Client, name string) (*user, error) {
	answer, err := node.Do(ctx, "ACL", "GETUSER", name).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}

	fields := map[string]any{}
	switch list := answer.(type) {
	case map[any]any: // RESP3
		for key, value := range list {
			fields[fmt.Sprint(key)] = value
		}
	case []any:
		for i := 0; i+1 < len(list); i += 2 {
			fields[fmt.Sprint(list[i])] = list[i+1]
		}
	}

	// The order of the words differs between a user that was set and one that was
	// loaded from the file, the words do not.
	commands := strings.Fields(text(fields["commands"]))
	slices.Sort(commands)
	selectors, _ := fields["selectors"].([]any)
	return &user{selectors: len(selectors), flags: texts(fields["flags"]), passwords: texts(fields["passwords"]), commands: strings.Join(commands, " "),
		keys: text(fields["keys"]), channels: text(fields["channels"])}, nil
}

func texts(value any) []string {
	list, _ := value.([]any)
	var all []string
	for _, one := range list {
		all = append(all, fmt.Sprint(one))
	}
	return all
}

func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// maxPasswords bounds those of a user whose credentials are lost again and again before
// its Pods have been replaced.
const maxPasswords = 4

// withPasswords returns the hashes and those that the user already has.
func (u *user) withPasswords(hashes []string) []string {
	all := slices.Clone(hashes)
	if u == nil || slices.Contains(u.flags, "nopass") {
		return all
	}
	for _, hash := range u.passwords {
		if !slices.Contains(all, hash) && len(all) < maxPasswords {
			all = append(all, hash)
		}
	}
	return all
}

// is says whether the user has exactly these rules.
func (u *user) is(hashes []string, keys, channels, commands string) bool {
	return u != nil && u.selectors == 0 && slices.Contains(u.flags, "on") && !slices.Contains(u.flags, "nopass") && sameSet(u.passwords, hashes) &&
		u.keys == keys && u.channels == channels && u.commands == commands
}
