package postgres

import "fmt"

// What moderation says of events and players, as SQL. The tables that it looks into are small:
// where nothing was ever moderated they are empty.

// countsSQL is the condition that an event, by the name of its table, counts on a board: it is
// not void, and the player was not taken since off that board or off the one that it was
// submitted to.
func countsSQL(event, board string) string {
	return fmt.Sprintf(`NOT EXISTS (SELECT FROM voids v WHERE v.event = %[1]s.id)
		AND NOT EXISTS (SELECT FROM removals m WHERE m.player = %[1]s.player AND m.board IN (%[1]s.board, %[2]s) AND m.through >= %[1]s.id)`, event, board)
}

// excludedSQL is the condition that a player is left out of the rankings of the board $1.
func excludedSQL(player string) string {
	return "EXISTS (SELECT FROM exclusions x WHERE x.player = " + player + " AND x.board IN (0, $1))"
}

// lastModerationSQL is the number of the last moderation; 0: there is none.
const lastModerationSQL = "(SELECT coalesce(max(number), 0) FROM moderations)"

// lastRecountSQL is that of the last one for which standings were made again.
const lastRecountSQL = "(SELECT coalesce(max(number), 0) FROM moderations WHERE through > 0)"
