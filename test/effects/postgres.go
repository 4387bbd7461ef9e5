package effects

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

// postgresParser reads what a client of PostgreSQL sends, protocol 3.0:
// https://www.postgresql.org/docs/current/protocol-message-formats.html. A message is
// what the server answers as a whole: a query, a Sync with all before it, or a step of the
// login. The effects are the commits of transactions that have written, statements that
// write outside of one, and the ends of sessions.
type postgresParser struct {
	started bool
	// first is the first statement that has written in the transaction that is open.
	first string
	open  bool
	// login: the server answers with less than ReadyForQuery.
	login bool
}

func (p *postgresParser) next(from io.Reader) (message []byte, name string, err error) {
	if !p.started {
		p.started, p.login = true, true
		message, err = readSized(from, nil)
		return message, "", err
	}

	for {
		kind := make([]byte, 1)
		if _, err := io.ReadFull(from, kind); err != nil {
			return nil, "", err
		}
		one, err := readSized(from, kind)
		if err != nil {
			return nil, "", err
		}

		message = append(message, one...)
		body := one[5:]
		switch kind[0] {
		case 'P': // Parse: the statement's name, then its text
			_, text, _ := bytes.Cut(body, []byte{0})
			name = p.note(name, text)
		case 'Q':
			return message, p.note(name, body), nil
		case 'S', 'X':
			return message, name, nil
		case 'p':
			p.login = true
			return message, name, nil
		}
	}
}

// readSized reads a length, which counts itself, and what it is of.
func readSized(from io.Reader, before []byte) ([]byte, error) {
	length := make([]byte, 4)
	if _, err := io.ReadFull(from, length); err != nil {
		return nil, err
	}

	n := binary.BigEndian.Uint32(length)
	if n < 4 || n > 1<<24 {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	body := make([]byte, n-4)
	_, err := io.ReadFull(from, body)
	return slices.Concat(before, length, body), err
}

var writes = []string{"alter", "comment", "create", "delete", "do", "drop", "grant", "insert", "reassign", "revoke", "truncate", "update"}

// note looks at one statement, and returns the name of the effect, if it is one.
func (p *postgresParser) note(name string, text []byte) string {
	statement := strings.Join(strings.Fields(strings.TrimRight(string(text), "\x00")), " ")
	word, _, _ := strings.Cut(strings.ToLower(statement), " ")
	short := statement[:min(len(statement), 80)]

	switch {
	case word == "begin":
		p.open, p.first = true, ""
	case word == "rollback" && !strings.HasPrefix(strings.ToLower(statement), "rollback to"):
		p.open = false
	case word == "commit":
		p.open = false
		if p.first != "" {
			return "commit of " + p.first
		}
	case strings.Contains(statement, "pg_terminate_backend"):
		return "pg_terminate_backend"
	case !slices.Contains(writes, word):
	case p.open && p.first == "":
		p.first = short
	case !p.open:
		return short
	}
	return name
}

func (p *postgresParser) answer(from io.Reader) ([]byte, error) {
	login := p.login
	p.login = false

	var answer []byte
	for {
		kind := make([]byte, 1)
		if _, err := io.ReadFull(from, kind); err != nil {
			return answer, err
		}
		one, err := readSized(from, kind)
		if err != nil {
			return answer, err
		}

		answer = append(answer, one...)
		const saslBegins, saslGoesOn = 10, 11
		switch {
		case kind[0] == 'Z', login && kind[0] == 'E':
			return answer, nil
		case login && kind[0] == 'R':
			if step := binary.BigEndian.Uint32(one[5:9]); step == saslBegins || step == saslGoesOn {
				return answer, nil
			}
		}
	}
}
