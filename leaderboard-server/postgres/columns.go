package postgres

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// columnsLiteral is an array as PostgreSQL writes it.
func columnsLiteral(columns []int64) pgtype.Text {
	b := []byte("{")
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, c, 10)
	}
	return pgtype.Text{String: string(append(b, '}')), Valid: true}
}

// readColumns takes the columns of a row; null is none.
func readColumns(row []int64) (columns leaderboard.Columns) {
	copy(columns[:], row)
	return columns
}

// rankedColumns are the literals of the columns of a board's standings as they are ranked;
// nil where it has none.
func rankedColumns(board leaderboard.Board, standings []leaderboard.Standing) []pgtype.Text {
	if len(board.Columns) == 0 {
		return nil
	}

	literals := make([]pgtype.Text, len(standings))
	for i, s := range standings {
		ranked := board.Fold().Ranked(s.Columns)
		literals[i] = columnsLiteral(ranked[:len(board.Columns)])
	}
	return literals
}

// rankedColumnsOf is rankedColumns of standings of several boards.
func rankedColumnsOf(catalog *leaderboard.Catalog, standings []leaderboard.Standing) (literals []pgtype.Text) {
	for i, s := range standings {
		board, _ := catalog.Numbered(s.Board)
		if one := rankedColumns(board.Board, standings[i:i+1]); one != nil {
			if literals == nil {
				literals = make([]pgtype.Text, len(standings))
			}
			literals[i] = one[0]
		}
	}
	return literals
}

// storedColumn is a column as tables have it. ranked_columns() in the migrations reads it, too.
type storedColumn struct {
	Name     string            `json:"name"`
	Order    leaderboard.Order `json:"order"`
	Min      int64             `json:"min"`
	Max      int64             `json:"max"`
	Decimals int               `json:"decimals"`
	Logged   int               `json:"place,omitempty"`
}

func storedColumns(columns []leaderboard.Column) []storedColumn {
	stored := make([]storedColumn, len(columns))
	for i, c := range columns {
		stored[i] = storedColumn(c)
	}
	return stored
}

// definedColumns are stored ones; nil without any.
func definedColumns(stored []storedColumn) (columns []leaderboard.Column) {
	for _, c := range stored {
		columns = append(columns, leaderboard.Column(c))
	}
	return columns
}

// columnsOfLog is SQL for the columns of an event of the board as they are ranked.
func columnsOfLog(board leaderboard.LiveBoard) string {
	ranked, fold := make([]string, len(board.Columns)), board.Fold()
	for i, c := range board.Columns {
		ranked[i] = "coalesce(columns[" + strconv.Itoa(fold.Place(i)+1) + "], 0)"
		if c.Order == leaderboard.Descending {
			ranked[i] = "-" + ranked[i]
		}
	}
	return "ARRAY[" + strings.Join(ranked, ", ") + "]"
}
