package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// attributes answers what the player has of the game's attributes.
func (a *API) attributes(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.player(r)
	if err != nil {
		return err
	}
	if err := readQuery(r).finish(); err != nil {
		return err
	}

	values, err := service.PlayerAttributes(r.Context(), identity.Player)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, PlayerAttributes{Attributes: values})
	return nil
}

// setAttributes gives the player other attributes.
func (a *API) setAttributes(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.player(r)
	if err != nil {
		return err
	}

	if err := a.limit(r, "attributes-player", string(identity.Player), a.HTTP.AttributeRatePerPlayer); err != nil {
		return err
	}

	if err := readQuery(r).finish(); err != nil {
		return err
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	values := b.texts("attributes", true, leaderboard.MaxAttributes)
	if err := b.finish(); err != nil {
		return err
	}

	if err := service.SetPlayerAttributes(r.Context(), identity.Player, identity.TokenVersion, values); err != nil {
		return err
	}
	answer(w, http.StatusOK, PlayerAttributes{Attributes: values})
	return nil
}

// texts takes an object of at most so many strings; those that are null are left out.
func (b *body) texts(name string, required bool, most int) map[string]string {
	fields, ok := b.object(name, required, "strings", most, "name at most %d attributes")
	if !ok {
		return nil
	}

	texts := make(map[string]string, len(fields))
	for field, value := range fields {
		var text string
		switch {
		case string(value) == "null":
		case value[0] != '"' || json.Unmarshal(value, &text) != nil:
			b.wrong(name+"."+shorten(field), "%s.%s must be a string", name, shorten(field))
		default:
			texts[field] = text
		}
	}
	return texts
}

// segment takes the segment of a board that is asked for. Of the player's own value a token
// says who that is.
func (a *API) segment(r *http.Request, q *query) (leaderboard.SegmentQuery, error) {
	const name = "segment"
	text := q.text(name, "")
	if text == "" {
		return leaderboard.SegmentQuery{}, nil
	}

	attribute, value, named := strings.Cut(text, ":")
	if attribute == "" || named && value == "" {
		q.wrong(name, "segment must be an attribute and a value, as in country:DE, or, with a token, the attribute alone")
		return leaderboard.SegmentQuery{}, nil
	}
	query := leaderboard.SegmentQuery{Attribute: attribute, Value: value}
	if named {
		return query, nil
	}

	identity, err := a.player(r)
	query.Own = identity.Player
	return query, err
}

// segmentOf is the segment that an answer is of; nil: it is of all of the season.
func segmentOf(of leaderboard.Of) *string {
	if of.Attribute == "" {
		return nil
	}
	segment := of.Attribute + ":" + of.Value
	return &segment
}

// segmentRanks are the ranks of an own entry in segments, where they are asked for.
func segmentRanks(asked bool, entries []leaderboard.SegmentEntry) *[]SegmentRank {
	if !asked {
		return nil
	}
	ranks := make([]SegmentRank, len(entries))
	for i, e := range entries {
		ranks[i] = SegmentRank{Attribute: e.Attribute, Value: e.Value, Rank: e.Rank, TotalEntries: e.TotalEntries}
	}
	return &ranks
}

// describeSegments says by what a board is split.
func describeSegments(catalog *leaderboard.Catalog, b leaderboard.LiveBoard) []Segment {
	segments := make([]Segment, 0, len(b.Segments))
	for _, name := range b.Segments {
		attribute, ok := catalog.Attribute(name)
		if !ok {
			continue
		}
		segment := Segment{Attribute: name}
		if attribute.Pattern != "" {
			segment.Pattern = &attribute.Pattern
		} else {
			segment.Values = &attribute.Values
		}
		segments = append(segments, segment)
	}
	return segments
}
