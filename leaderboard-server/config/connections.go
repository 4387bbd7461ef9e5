package config

import (
	"fmt"
	"strconv"
	"strings"
)

// How many connections to PostgreSQL a server may have.
const minDatabaseConnections, maxDatabaseConnections = 2, 1000

// ParseConnections reads [Database.ConnectionsFile]: a number, and whitespace.
func ParseConnections(content []byte) (int, error) {
	connections, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || connections < minDatabaseConnections || connections > maxDatabaseConnections {
		return 0, fmt.Errorf("the file has to hold a number of connections from %d to %d, such as 8, and nothing else", minDatabaseConnections, maxDatabaseConnections)
	}
	return connections, nil
}
