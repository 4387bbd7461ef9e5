package effects

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// redisParser reads what a client of Redis sends, in RESP:
// https://redis.io/docs/latest/develop/reference/protocol-spec/. The effects are the
// commands that write.
type redisParser struct{}

var redisWrites = map[string]bool{"ACL SETUSER": true, "ACL DELUSER": true, "ACL SAVE": true, "FUNCTION LOAD": true,
	"HDEL": true, "HSET": true, "HSETNX": true, "SET": true, "SETNX": true, "UNLINK": true, "DEL": true}

func (p *redisParser) next(from io.Reader) (message []byte, name string, err error) {
	message, err = readValue(from)
	if err != nil {
		return nil, "", err
	}

	var words []string
	for i, part := range bytes.Split(message, []byte("\r\n")) {
		if i > 0 && i%2 == 0 { // *n, then $length and the word of each
			words = append(words, string(part))
		}
	}
	for n := 1; n <= min(2, len(words)); n++ {
		if command := strings.ToUpper(strings.Join(words[:n], " ")); redisWrites[command] {
			return message, command, nil
		}
	}
	return message, "", nil
}

func (p *redisParser) answer(from io.Reader) ([]byte, error) { return readValue(from) }

// readValue reads one value of RESP 2 or 3 with all that is in it.
func readValue(from io.Reader) ([]byte, error) {
	line, err := readLine(from)
	if err != nil {
		return nil, err
	}

	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(':
		return line, nil
	case '$', '=', '!':
		if err != nil || n < 0 {
			return line, err
		}
		body := make([]byte, n+2)
		_, err = io.ReadFull(from, body)
		return append(line, body...), err
	case '%', '|':
		n *= 2
	case '*', '~', '>':
	default:
		return nil, fmt.Errorf("a value of the kind %q", line[0])
	}

	for range max(n, 0) {
		one, err := readValue(from)
		if err != nil {
			return nil, err
		}
		line = append(line, one...)
	}
	return line, nil
}

// readLine reads byte by byte, so that nothing after the line is taken.
func readLine(from io.Reader) ([]byte, error) {
	var line []byte
	one := make([]byte, 1)
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if _, err := io.ReadFull(from, one); err != nil {
			return nil, err
		}
		line = append(line, one[0])
	}
	return line, nil
}
