package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// syncAttributes brings the attributes of players in line.
func syncAttributes(ctx context.Context, tx pgx.Tx, attributes []leaderboard.Attribute) error {
	names := make([]string, len(attributes))
	for i, a := range attributes {
		names[i] = a.Name
		_, err := tx.Exec(ctx, `
			INSERT INTO attributes AS a (name, place, allowed, pattern) VALUES ($1, $2, coalesce($3::text[], '{}'), $4)
			ON CONFLICT (name) DO UPDATE SET place = excluded.place, allowed = excluded.allowed, pattern = excluded.pattern, active = true
			WHERE (a.place, a.allowed, a.pattern, a.active) IS DISTINCT FROM (excluded.place, excluded.allowed, excluded.pattern, true)`,
			a.Name, i, a.Values, a.Pattern)
		if err != nil {
			return fmt.Errorf("store attribute %s: %w", a.Name, err)
		}
	}
	if _, err := tx.Exec(ctx, "UPDATE attributes SET active = false WHERE active AND name <> ALL ($1)", names); err != nil {
		return fmt.Errorf("deactivate attributes: %w", err)
	}
	return nil
}

// withAttributes adds the attributes of players to a catalog.
func withAttributes(ctx context.Context, tx pgx.Tx, catalog *leaderboard.Catalog) (*leaderboard.Catalog, error) {
	rows, err := tx.Query(ctx, "SELECT name, allowed, pattern FROM attributes WHERE active ORDER BY place")
	if err != nil {
		return nil, fmt.Errorf("query the attributes: %w", err)
	}
	attributes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.Attribute])
	if err != nil {
		return nil, fmt.Errorf("read the attributes: %w", err)
	}
	if len(attributes) == 0 && !catalog.HasSegments() {
		return catalog, nil
	}

	rows, err = tx.Query(ctx, "SELECT number, attribute, value FROM attribute_values")
	if err != nil {
		return nil, fmt.Errorf("query the values of attributes: %w", err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.AttributeValue])
	if err != nil {
		return nil, fmt.Errorf("read the values of attributes: %w", err)
	}
	return catalog.WithAttributes(attributes, values), nil
}

// ValueNumber implements [leaderboard.PlayerAttributes].
func (l *Ledger) ValueNumber(ctx context.Context, attribute, value string) (number int32, ok bool, err error) {
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return 0, false, err
	}
	defer done()

	err = l.pool.QueryRow(ctx, "SELECT number FROM attribute_values WHERE attribute = $1 AND value = $2", attribute, value).Scan(&number)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, unavailable("find the value of an attribute", err)
	}
	return number, true, nil
}

// Attributes implements [leaderboard.PlayerAttributes].
func (l *Ledger) Attributes(ctx context.Context, player leaderboard.PlayerID) ([]leaderboard.AttributeValue, error) {
	id, err := uuid.Parse(string(player))
	if err != nil {
		return nil, noPlayer()
	}
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()

	rows, err := l.pool.Query(ctx, `
		SELECT v.number, v.attribute, v.value
		FROM players p JOIN player_attributes a ON a.player = p.number JOIN attribute_values v ON v.number = a.value
		JOIN attributes c ON c.name = a.attribute AND c.active
		WHERE p.id = $1 ORDER BY c.place`, [16]byte(id))
	if err != nil {
		return nil, unavailable("query a player's attributes", err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.AttributeValue])
	if err != nil {
		return nil, unavailable("read a player's attributes", err)
	}
	return values, nil
}

// SetAttributes implements [leaderboard.PlayerAttributes].
func (l *Ledger) SetAttributes(ctx context.Context, player leaderboard.PlayerID, tokenVersion int32, values map[string]string) error {
	id, err := uuid.Parse(string(player))
	if err != nil {
		return noPlayer()
	}
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return err
	}
	defer done()

	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		var number int64
		var version int32
		var state leaderboard.PlayerState
		err := tx.QueryRow(ctx, "SELECT number, token_version, state FROM players WHERE id = $1 FOR UPDATE", [16]byte(id)).Scan(&number, &version, &state)
		switch {
		case errors.Is(err, pgx.ErrNoRows), err == nil && tokenVersion != 0 && version != tokenVersion:
			return refusal("unauthenticated", leaderboard.Submission{})
		case err != nil:
			return err
		case tokenVersion != 0 && state != leaderboard.PlayerActive:
			return refusal("forbidden", leaderboard.Submission{})
		}

		names := make([]string, 0, len(values))
		for name := range values {
			names = append(names, name)
		}
		// What is not configured stays for when it is again.
		_, err = tx.Exec(ctx, `DELETE FROM player_attributes WHERE player = $1 AND attribute <> ALL ($2)
			AND attribute IN (SELECT name FROM attributes WHERE active)`, number, names)
		if err != nil {
			return err
		}
		return setAttributes(ctx, tx, number, values)
	})
	return refusalOr("change a player's attributes", err)
}

// refusalOr leaves refusals as they are.
func refusalOr(doing string, err error) error {
	if refused := (*leaderboard.Error)(nil); err == nil || errors.As(err, &refused) {
		return err
	}
	return unavailable(doing, err)
}

// setAttributes stores values of a player's attributes, those that are new with numbers.
func setAttributes(ctx context.Context, tx pgx.Tx, player int64, values map[string]string) error {
	if len(values) == 0 {
		return nil
	}
	names, texts := make([]string, 0, len(values)), make([]string, 0, len(values))
	for name, value := range values {
		names, texts = append(names, name), append(texts, value)
	}
	if err := numberValues(ctx, tx, names, texts); err != nil {
		return err
	}

	_, err := tx.Exec(ctx, `
		INSERT INTO player_attributes AS a (player, attribute, value)
		SELECT $1, v.attribute, v.number FROM unnest($2::text[], $3::text[]) i (attribute, value) JOIN attribute_values v USING (attribute, value)
		ON CONFLICT (player, attribute) DO UPDATE SET value = excluded.value, changed_at = now() WHERE a.value <> excluded.value`, player, names, texts)
	return err
}

const missingValuesSQL = `
	SELECT i.attribute, i.value FROM unnest($1::text[], $2::text[]) i (attribute, value)
	WHERE NOT EXISTS (SELECT FROM attribute_values v WHERE v.attribute = i.attribute AND v.value = i.value)`

// numberValues gives values numbers that have none.
func numberValues(ctx context.Context, tx pgx.Tx, names, values []string) error {
	var missing bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS ("+missingValuesSQL+")", names, values).Scan(&missing); err != nil || !missing {
		return err
	}

	// One after the other, so that no number is given twice: there are few values.
	if _, err := tx.Exec(ctx, "LOCK TABLE attribute_values IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return err
	}
	var used, wanted int
	err := tx.QueryRow(ctx, "SELECT (SELECT coalesce(max(number), 0) FROM attribute_values), (SELECT count(*) FROM ("+missingValuesSQL+") m)", names, values).Scan(&used, &wanted)
	if err != nil {
		return err
	}
	if used+wanted > leaderboard.MaxAttributeValues {
		return leaderboard.Errorf(leaderboard.CodeTooManyValues, "attributes", "the players of this game have %d different values of attributes already, which is as many as there may be: only those can be chosen", used)
	}

	_, err = tx.Exec(ctx, `INSERT INTO attribute_values (number, attribute, value)
		SELECT $3 + row_number() OVER (ORDER BY attribute, value), attribute, value FROM (`+missingValuesSQL+`) m`, names, values, used)
	return err
}
