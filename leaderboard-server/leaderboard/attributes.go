package leaderboard

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// PlayerAttributes keeps what players have of the game's attributes.
type PlayerAttributes interface {
	// Attributes are a player's values of the attributes that are configured, in their order.
	Attributes(ctx context.Context, player PlayerID) ([]AttributeValue, error)
	// SetAttributes gives a player these values, which are allowed, and no others: all of
	// them or, after an error, none. A token of another version than the player's is
	// CodeUnauthenticated; with version 0 it is no player who asks, and none is checked. Values beyond
	// MaxAttributeValues are CodeTooManyValues.
	SetAttributes(ctx context.Context, player PlayerID, tokenVersion int32, values map[string]string) error
	// ValueNumber is the number of a value of an attribute; false: no player had it yet.
	ValueNumber(ctx context.Context, attribute, value string) (int32, bool, error)
}

// checkAttributes refuses values that players may not have.
func checkAttributes(catalog *Catalog, values map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		field := "attributes." + name
		attribute, ok := catalog.Attribute(name)
		if !ok {
			return invalid(field, "there is no attribute %q: this game has %s", name, attributeNames(catalog))
		}
		if err := attribute.check(field, values[name]); err != nil {
			return err
		}
	}
	return nil
}

func attributeNames(catalog *Catalog) string {
	names := make([]string, len(catalog.Attributes()))
	for i, a := range catalog.Attributes() {
		names[i] = a.Name
	}
	return listOrNone(names)
}

// listOrNone is for messages.
func listOrNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// PlayerAttributes returns a player's values of attributes, by name.
func (s *Service) PlayerAttributes(ctx context.Context, player PlayerID) (map[string]string, error) {
	values, err := s.Attributes.Attributes(ctx, player)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]string, len(values))
	for _, v := range values {
		byName[v.Attribute] = v.Value
	}
	return byName, nil
}

// SetPlayerAttributes gives a player these values of attributes, and no others. What was
// submitted before stays where it counts.
func (s *Service) SetPlayerAttributes(ctx context.Context, player PlayerID, tokenVersion int32, values map[string]string) error {
	if err := checkAttributes(s.Catalog(), values); err != nil {
		return err
	}
	return s.Attributes.SetAttributes(ctx, player, tokenVersion, values)
}

// SegmentQuery names a segment of a board; the zero value: all of the board is meant.
type SegmentQuery struct {
	Attribute string
	// Value is a value of the attribute; empty: the one that the player Own has.
	Value string
	Own   PlayerID
}

// findSegment finds the value whose segment is asked for.
func (s *Service) findSegment(ctx context.Context, catalog *Catalog, query SegmentQuery) (AttributeValue, error) {
	value := AttributeValue{Attribute: query.Attribute, Value: query.Value}
	if query.Value == "" {
		owned, err := s.Attributes.Attributes(ctx, query.Own)
		if err != nil {
			return value, err
		}
		if i := slices.IndexFunc(owned, func(v AttributeValue) bool { return v.Attribute == query.Attribute }); i >= 0 {
			return owned[i], nil
		}
		return value, Errorf(CodeNoValue, "segment", "you have no %s: set it with PUT /v1/players/me/attributes, or name a value, as in segment=%s:...", query.Attribute, query.Attribute)
	}

	var known bool
	if value.Number, known = catalog.ValueNumber(query.Attribute, query.Value); known {
		return value, nil
	}
	if attribute, _ := catalog.Attribute(query.Attribute); !attribute.Allows(query.Value) {
		return value, Errorf(CodeNoSegment, "segment", "attribute %s has no value %q: it has %s", query.Attribute, query.Value, attribute.allowed())
	}

	// The first player may have it by now.
	number, known, err := s.Attributes.ValueNumber(ctx, query.Attribute, query.Value)
	if value.Number = number; !known {
		value.Number = noValue
	}
	return value, err
}

// splitBy says whether the board is split by an attribute.
func (b Board) splitBy(attribute string) bool { return slices.Contains(b.Segments, attribute) }

// noSegment is the error for an attribute by which the board is not split.
func noSegment(board Board, attribute string) *Error {
	return Errorf(CodeNoSegment, "segment", "board %s has no segment %q: it has %s", board.Name, attribute, listOrNone(board.Segments))
}

// in is the segment of what the scope is.
func (s scope) in(value AttributeValue) scope {
	s.board = s.board.InSegment(value.Number)
	s.Attribute, s.Value = value.Attribute, value.Value
	return s
}

// SegmentEntry is where an entry stands in a segment.
type SegmentEntry struct {
	Attribute, Value   string
	Rank, TotalEntries int64
}

// addSegments fills in where a player's entries stand in the segments of the values that the
// player has now.
func (s *Service) addSegments(ctx context.Context, player PlayerName, scopes []scope, entries []*BoardEntry) error {
	if !slices.ContainsFunc(scopes, func(of scope) bool { return len(of.board.Segments) > 0 }) {
		return nil
	}
	values, err := s.Attributes.Attributes(ctx, player.ID)
	if err != nil {
		return err
	}

	type place struct {
		entry *BoardEntry
		value AttributeValue
	}
	var queries []EntryQuery
	var places []place
	for i, of := range scopes {
		of.board.Season, _ = SplitSeason(of.board.Season)
		for _, v := range values {
			if of.board.splitBy(v.Attribute) && entries[i].Rank != 0 {
				queries = append(queries, EntryQuery{Board: of.board.InSegment(v.Number), Player: player.Number})
				places = append(places, place{entries[i], v})
			}
		}
	}
	if len(queries) == 0 {
		return nil
	}

	ranked, err := scopes[0].ranking.Ranks(ctx, queries) // all are of open seasons, or there is one
	if err != nil {
		return err
	}
	for i, e := range ranked {
		if p := places[i]; e.Rank != 0 {
			p.entry.Segments = append(p.entry.Segments, SegmentEntry{p.value.Attribute, p.value.Value, e.Rank, e.Total})
		}
	}
	return nil
}
