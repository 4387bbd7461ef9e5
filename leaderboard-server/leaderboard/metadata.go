package leaderboard

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/metadata"
)

// MaxMetadata is the longest metadata of a submission, in bytes.
const MaxMetadata = metadata.MaxBytes

// MetadataRules are what a board takes as the metadata of a submission.
type MetadataRules struct {
	// MaxBytes is how long it may be, as [CompactMetadata] returns it; 0: the board takes
	// none.
	MaxBytes int
	// Schema is a JSON Schema that it is held to, without insignificant whitespace; empty:
	// none.
	Schema string
}

func (b Board) validateMetadata() error {
	m := b.Metadata
	if m.MaxBytes < 0 || m.MaxBytes > MaxMetadata {
		return invalid("metadata.maxBytes", "metadata.maxBytes of board %s must be from 1 to %d", b.Name, MaxMetadata)
	}
	if m.Schema == "" {
		return nil
	}

	_, err := metadata.Compile([]byte(m.Schema))
	var refused *metadata.Error
	if errors.As(err, &refused) {
		return invalid("metadata.schema", "metadata.schema%s of board %s %s", refused.Path, b.Name, refused.Message)
	}
	return err
}

// CompactMetadata returns metadata without insignificant whitespace and otherwise as it was
// written. What is not a JSON object of the bounds that every board has is CodeInvalid.
func CompactMetadata(raw []byte) (string, error) {
	compact, err := metadata.Compact(raw)
	return compact, metadataError(err)
}

// metadataError tells the user what is wrong.
func metadataError(err error) error {
	var wrong *metadata.Error
	if !errors.As(err, &wrong) {
		return err
	}
	field := "metadata" + wrong.Path
	return invalid(field, "%s %s", field, wrong.Message)
}

// checkMetadata refuses metadata that the board does not take.
func (s *Service) checkMetadata(board Board, text string) error {
	rules := board.Metadata
	switch {
	case text == "":
		return nil
	case rules.MaxBytes == 0:
		return invalid("metadata", "board %s takes no metadata: leave it out", board.Name)
	case len(text) > rules.MaxBytes:
		return invalid("metadata", "metadata has %d bytes without whitespace: board %s takes at most %d", len(text), board.Name, rules.MaxBytes)
	case rules.Schema == "":
		return nil
	}

	schema, err := s.schemas.compiled(rules.Schema)
	if err != nil {
		return fmt.Errorf("compile the metadata schema of board %s: %w", board.Name, err)
	}
	return metadataError(schema.Check(text))
}

// schemas are those of the boards, compiled when they are first needed.
type schemas struct {
	mu     sync.Mutex
	byText map[string]*metadata.Schema
}

func (s *schemas) compiled(text string) (*metadata.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if schema, ok := s.byText[text]; ok {
		return schema, nil
	}

	schema, err := metadata.Compile([]byte(text))
	if err != nil {
		return nil, err
	}
	if s.byText == nil || len(s.byText) >= MaxBoards { // others are those of before a change
		s.byText = make(map[string]*metadata.Schema)
	}
	s.byText[text] = schema
	return schema, nil
}

// MetadataStore keeps the metadata of submissions.
type MetadataStore interface {
	// Metadata returns the metadata of events, by their numbers; without those that have
	// none. An error says that there may be some later.
	Metadata(ctx context.Context, events []int64) (map[int64]string, error)
}

// addMetadata fills in the metadata of the submissions that made the entries, if that was
// asked for. It is left out where it cannot be looked up now.
func (s *Service) addMetadata(ctx context.Context, scopes func(i int) scope, entries []RankingEntry, ranked func(i int) *RankedEntry) error {
	var events []int64
	for i, e := range entries {
		if scopes(i).include.Metadata && e.Rank != 0 {
			events = append(events, e.Event)
		}
	}

	found, err := s.lookUpMetadata(ctx, events)
	for i, e := range entries {
		if scopes(i).include.Metadata && e.Rank != 0 {
			ranked(i).Metadata = found[e.Event]
		}
	}
	return err
}

func (s *Service) lookUpMetadata(ctx context.Context, events []int64) (map[int64]string, error) {
	if len(events) == 0 {
		return nil, nil
	}

	found, err := s.Metadata.Metadata(ctx, events)
	if err != nil && (ctx.Err() != nil || !temporary(err)) {
		return nil, err
	}
	return found, nil
}
