package leaderboard

import (
	"reflect"
	"slices"
)

// GlobalBoard is the board that every tenant has: the top players across all
// boards by their best single score. Its name is reserved.
const GlobalBoard = "global"

// MaxScore bounds scores, and sums of scores, to the integers that a Redis
// score (a double) and a JSON number hold exactly: -MaxScore..MaxScore.
const MaxScore = 1<<53 - 1

// Limits of a boards file.
const (
	// MaxBoards is how many boards a tenant may configure beside global.
	MaxBoards = 64
	// MaxBoardName is the longest name of a board, in bytes (all ASCII).
	MaxBoardName = 40
	// MaxShards is the most shards that a board's ranking may be spread over.
	MaxShards = 64
	// MaxDecimals is the most digits behind the point.
	MaxDecimals = 9
)

// Order says which of two scores is better.
type Order string

// The orders.
const (
	// Descending ranks the highest score first.
	Descending Order = "Descending"
	// Ascending ranks the lowest score first.
	Ascending Order = "Ascending"
)

// Better says whether score a ranks before score b.
func (o Order) Better(a, b int64) bool {
	if o == Ascending {
		return a < b
	}
	return a > b
}

// Scoring says how a player's submissions make the player's score.
type Scoring string

// The scorings.
const (
	// Best keeps the best submission by the board's order; of equal ones the
	// earliest.
	Best Scoring = "Best"
	// First keeps the first submission.
	First Scoring = "First"
	// Latest keeps the latest submission.
	Latest Scoring = "Latest"
	// Sum adds the submissions up; the last one that was added breaks ties.
	Sum Scoring = "Sum"
	// Count counts the submissions, whatever their scores; the last one breaks ties.
	Count Scoring = "Count"
)

// scorings are all of them.
var scorings = []Scoring{Best, First, Latest, Sum, Count}

// Board is one configured ranking of a game.
type Board struct {
	// Name is what clients send as game_id.
	Name    string
	Order   Order
	Scoring Scoring
	// MinScore and MaxScore bound what one submission may carry, inclusively.
	MinScore, MaxScore int64
	// CountsTowardGlobal says that a submission here also counts on GlobalBoard.
	// Only a Descending board may.
	CountsTowardGlobal bool
	// Derived says that the board takes no submissions of its own: it has what other
	// boards bring. Only GlobalBoard may be.
	Derived bool
	// ServersOnly says that only servers of the game submit to the board, with the token of a
	// service account, and no player does.
	ServersOnly bool
	// Signed says that submissions of players have to be signed, see [Submission].
	Signed bool
	// External says that the entries belong to owners that the game's servers name, see [Owner],
	// and not to players. It never changes.
	External bool
	// MaxImprovement is by how much one submission may improve the standing that its player has
	// of all time; 0: by any.
	MaxImprovement int64
	// Limits are how often one player may submit.
	Limits Limits
	// Review says which submissions of players are held back.
	Review Review
	// Decimals is how many of a score's digits clients show behind the point, such as 3
	// for milliseconds that are shown as seconds. Nothing else depends on it.
	Decimals int
	// Shards is over how many parts the ranking is spread, at least 1. Changing it
	// rebuilds the ranking.
	Shards int
	// Columns rank entries of equal scores, one after the other.
	Columns []Column
	// Ranks says how entries with the same score and columns are counted.
	Ranks Ranks
	// Metadata is what the board takes of a submission besides.
	Metadata MetadataRules
	// Windows are rankings of parts of the time, beside or instead of that of all time.
	Windows []Window
	// WindowsOnly says that there is no ranking of all time.
	WindowsOnly bool
	// Segments are the attributes of players by whose values the board is split.
	Segments []string
}

// Equal says whether two boards are configured alike.
func (b Board) Equal(other Board) bool { return reflect.DeepEqual(b, other) }

// Global is the configuration of [GlobalBoard].
func Global() Board {
	return Board{Name: GlobalBoard, Order: Descending, Scoring: Best, MinScore: -MaxScore, MaxScore: MaxScore,
		CountsTowardGlobal: true, Shards: 1, Ranks: Ordinal}
}

// Validate checks one configured board. Field names in errors are those of the
// boards file.
func (b Board) Validate() error {
	switch {
	case !validName(b.Name):
		return invalid("name", "board name %q must have 1 to %d characters, lower-case letters, digits, - or _, and begin and end with a letter or digit, for example time-trial", b.Name, MaxBoardName)
	case b.Order != Descending && b.Order != Ascending:
		return invalid("order", "order of board %s must be Descending or Ascending, not %q", b.Name, b.Order)
	case !slices.Contains(scorings, b.Scoring):
		return invalid("scoring", "scoring of board %s must be Best, First, Latest, Sum or Count, not %q", b.Name, b.Scoring)
	case b.MinScore < -MaxScore || b.MinScore > MaxScore:
		return invalid("minScore", "minScore of board %s must be within +-%d", b.Name, int64(MaxScore))
	case b.MaxScore < -MaxScore || b.MaxScore > MaxScore:
		return invalid("maxScore", "maxScore of board %s must be within +-%d", b.Name, int64(MaxScore))
	case b.MinScore > b.MaxScore:
		return invalid("minScore", "minScore of board %s must not be greater than its maxScore", b.Name)
	case b.CountsTowardGlobal && b.Order != Descending:
		return invalid("countsTowardGlobal", "board %s is Ascending and cannot count toward %s, where the highest score is best: set countsTowardGlobal to false or leave it out", b.Name, GlobalBoard)
	case b.Decimals < 0 || b.Decimals > MaxDecimals:
		return invalid("decimals", "decimals of board %s must be from 0 to %d", b.Name, MaxDecimals)
	case b.Shards < 1 || b.Shards > MaxShards:
		return invalid("shards", "shards of board %s must be from 1 to %d", b.Name, MaxShards)
	}
	if err := b.validatePlausibility(); err != nil {
		return err
	}
	if err := b.validateLimits(); err != nil {
		return err
	}
	if err := b.validateReview(); err != nil {
		return err
	}
	if err := b.validateOwners(); err != nil {
		return err
	}
	if err := b.validateRanks(); err != nil {
		return err
	}
	if err := b.validateColumns(); err != nil {
		return err
	}
	if err := b.validateSegments(); err != nil {
		return err
	}
	if err := b.validateMetadata(); err != nil {
		return err
	}
	return b.validateWindows()
}

// Who may submit to a board, as the boards file and the API say it.
const (
	submittersPlayers = "Players"
	submittersServers = "Servers"
)

// Submitters says who may submit to the board: Players or Servers.
func (b Board) Submitters() string {
	if b.ServersOnly {
		return submittersServers
	}
	return submittersPlayers
}

// CheckSubmission refuses a score outside the board's bounds, and any where the board
// takes none, or none of players: account is the service account that submits, empty for a
// player.
func (b Board) CheckSubmission(score int64, account string) error {
	if b.Derived {
		return invalid("board", "board %s takes no submissions of its own, only those of other boards: name one of them", b.Name)
	}
	if b.ServersOnly && account == "" {
		return Errorf(CodeServersOnly, "board", "only servers of the game may submit to board %s, with the token of a service account that has the scope submit: a player's token may not", b.Name)
	}
	if score < b.MinScore || score > b.MaxScore {
		return Errorf(CodeOutOfRange, "score", "score on board %s must be from %d to %d", b.Name, b.MinScore, b.MaxScore)
	}
	return nil
}

func validName(name string) bool {
	if len(name) == 0 || len(name) > MaxBoardName {
		return false
	}

	for i := range len(name) {
		c := name[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		inner := (c == '-' || c == '_') && i > 0 && i < len(name)-1
		if !alphanumeric && !inner {
			return false
		}
	}

	return true
}

// Boards is the validated, immutable set of a tenant's boards, GlobalBoard
// included. The zero value has no boards: use [NewBoards] or [ParseBoards].
type Boards struct {
	list   []Board // GlobalBoard first, then as configured
	byName map[string]int
	// attributes are those of the players.
	attributes []Attribute
}

// NewBoards validates the configured boards and adds GlobalBoard, which must
// not be among them.
func NewBoards(configured ...Board) (Boards, error) {
	if len(configured) > MaxBoards {
		return Boards{}, invalid("boards", "there are %d boards: at most %d can be configured", len(configured), MaxBoards)
	}

	boards := Boards{list: []Board{Global()}, byName: map[string]int{GlobalBoard: 0}}
	for _, b := range configured {
		if b.Name == GlobalBoard {
			return Boards{}, invalid("name", "the board %s always exists and cannot be configured: remove it, or choose another name", GlobalBoard)
		}
		if err := b.Validate(); err != nil {
			return Boards{}, err
		}
		if _, twice := boards.byName[b.Name]; twice {
			return Boards{}, invalid("name", "board %s is configured twice", b.Name)
		}

		boards.byName[b.Name] = len(boards.list)
		boards.list = append(boards.list, b)
	}

	return boards, nil
}

// WithGlobal returns the boards with another configuration of GlobalBoard: change
// is called with it.
func (b Boards) WithGlobal(change func(*Board)) (Boards, error) {
	list := append([]Board(nil), b.list...)
	change(&list[0])
	if err := list[0].Validate(); err != nil {
		return Boards{}, err
	}
	b.list = list
	return b, nil
}

// All returns every board, GlobalBoard first. The caller must not change it.
func (b Boards) All() []Board { return b.list }
