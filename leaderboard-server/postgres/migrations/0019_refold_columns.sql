-- admits: 6
-- Another order or scoring of a board that has segments, which are made with the rankings that
-- they are of; and other columns of a board: fewer of them, in another order, or with other
-- orders. Servers of the version before refuse such a refold.

-- The season that a ranking is of, whole or in a segment: the other way round of segment_season.
CREATE FUNCTION whole_season(number int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN number >= 0 THEN number
        WHEN (-number::bigint >> 10) > 2097152 - 65536 THEN (1073741824 + 2097152 - (-number::bigint >> 10))::int
        ELSE (-number::bigint >> 10)::int END
$$;

-- Events keep their columns in the order of those that the board had first: where a column's
-- place in boards.columns is another one, it has its place in events, from 1, as "place".
-- The names of those that were left out since:
ALTER TABLE boards ADD COLUMN left_out text[] NOT NULL DEFAULT '{}';

-- Submitted columns as they are ranked.
CREATE OR REPLACE FUNCTION ranked_columns(submitted bigint[], defined jsonb) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(CASE d.value ->> 'order' WHEN 'Descending' THEN -1 ELSE 1 END * coalesce(submitted[coalesce((d.value ->> 'place')::bigint, d.place)], 0) ORDER BY d.place)
    FROM jsonb_array_elements(defined) WITH ORDINALITY AS d (value, place)
$$;

-- The columns that the board is to get; null: those that it has. Servers of the version before
-- would make the ranking with those that it has, so where there are others, final is set, and
-- of_columns, so that they take it for refused. barred is what final is then.
ALTER TABLE refolds ADD COLUMN columns jsonb, ADD COLUMN barred boolean NOT NULL DEFAULT false;

-- The columns that a retired ranking, and the results of a closed season, have; null: the
-- board's.
ALTER TABLE retired_rankings ADD COLUMN columns jsonb;
ALTER TABLE window_seasons ADD COLUMN columns jsonb;

-- As before, with columns.
CREATE OR REPLACE FUNCTION retire_refold_seasons() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    WITH dropped AS (DELETE FROM refold_seasons WHERE board = OLD.board RETURNING made)
    INSERT INTO retired_rankings (board, season, board_order, scoring, columns) SELECT OLD.board, made, OLD.board_order, OLD.scoring, OLD.columns FROM dropped;
    RETURN NULL;
END $$;

-- From a board's first change of columns on, programs of the version before are refused: they
-- would store columns at other places than others read them at.
CREATE FUNCTION require_logged_columns() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE schema_migrations SET admits = version WHERE name = 'refold_columns' AND admits < version
$$;
