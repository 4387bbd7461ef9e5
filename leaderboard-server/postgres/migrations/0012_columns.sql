-- admits: 6
-- Further columns, which rank entries of equal scores, and ranks that entries share. Servers
-- of the version before know neither: a board may have columns once they are gone.

-- Who appends, or wants a standing, queues behind this while it waits for a reader, such as a
-- report: not for longer than this. It is then tried again.
SET LOCAL lock_timeout = '1s';

ALTER TABLE boards ADD COLUMN ranks text NOT NULL DEFAULT 'Ordinal' CHECK (ranks IN ('Ordinal', 'Competition', 'Dense'));

-- What a board's columns are: name, order, min, max and decimals of each.
ALTER TABLE boards ADD COLUMN columns jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(columns) = 'array' AND jsonb_array_length(columns) <= 4);

-- The columns of the submission, in the board's order; null: the board had none.
ALTER TABLE score_events ADD COLUMN columns bigint[];

-- The columns as they are ranked: the lower is the better one, so that those of which the
-- highest is the best are negative; and as previous_score, those before the last change.
ALTER TABLE standings ADD COLUMN columns bigint[], ADD COLUMN previous_columns bigint[];

-- Submitted columns as they are ranked.
CREATE FUNCTION ranked_columns(submitted bigint[], defined jsonb) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(CASE d.value ->> 'order' WHEN 'Descending' THEN -1 ELSE 1 END * coalesce(submitted[d.place], 0) ORDER BY d.place)
    FROM jsonb_array_elements(defined) WITH ORDINALITY AS d (value, place)
$$;

-- Of results: the columns of the entries, as they are ranked, one entry after the other, and
-- their ranks. Null: the board had no columns, and ranks that count one by one.
ALTER TABLE result_ranks ADD COLUMN columns bigint[], ADD COLUMN ranks bigint[];
-- Where ranks are dense: how many entries are better.
ALTER TABLE result_ranks ADD COLUMN better bigint[];
ALTER TABLE result_ranks ALTER COLUMN columns SET STORAGE EXTERNAL, ALTER COLUMN ranks SET STORAGE EXTERNAL, ALTER COLUMN better SET STORAGE EXTERNAL;
