-- Rollups of closed days and months, so that a report over years need not read
-- every event. Events never change once their day is closed, so neither do these;
-- retention drops them together with their events.
--
-- Both tables hold many players in a row, as arrays: a row of its own for each
-- would take more room than the events.

-- One row: the days (UTC's) that are rolled up: since <= day < days_until, and the
-- whole months among them that start before months_until. Who rolls up locks it.
-- Set since, days_until and months_until back to have rollups made anew.
CREATE TABLE report_progress (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    since        date NOT NULL,
    days_until   date NOT NULL CHECK (days_until >= since),
    months_until date NOT NULL CHECK (months_until = date_trunc('month', months_until::timestamp))
);

-- A day's (monthly: a month's) best players on a board, as many as a report may
-- list, in order: each with its best event. On board 1 those events that counted
-- toward global; origins says on which board they were made.
CREATE TABLE report_tops (
    monthly boolean NOT NULL,
    start   date NOT NULL,
    board   int NOT NULL,
    -- The place, from 0, of the row's first player.
    place   int NOT NULL,
    players bigint[] NOT NULL,
    scores  bigint[] NOT NULL,
    events  bigint[] NOT NULL,
    origins int[] NOT NULL,
    PRIMARY KEY (monthly, start, board, place)
);

-- How many scores each player submitted: all players, by number.
CREATE TABLE report_counts (
    monthly      boolean NOT NULL,
    start        date NOT NULL,
    board        int NOT NULL,
    first_player bigint NOT NULL,
    players      bigint[] NOT NULL,
    counts       int[] NOT NULL,
    PRIMARY KEY (monthly, start, board, first_player)
);

-- A day earlier than the first event, for those that are being stored now.
INSERT INTO report_progress (since, days_until, months_until)
    SELECT day, day, CASE WHEN day = month THEN month ELSE month + interval '1 month' END
    FROM (SELECT (least(min(at), now()) AT TIME ZONE 'UTC')::date - 1 FROM score_events) first (day),
        LATERAL (SELECT date_trunc('month', day::timestamp)) m (month);

-- As before, and drops the rollups of what it drops. Of the default partition,
-- too, it drops whole months, as the rollups of a day stand for all of its events.
CREATE OR REPLACE FUNCTION maintain_partitions(months_ahead int, keep interval)
    RETURNS TABLE (action text, partition name)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '2s' AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    -- Months before it ended more than keep ago.
    kept timestamp := date_trunc('month', (now() - keep) AT TIME ZONE 'UTC');
    first timestamptz;
    past timestamptz;
    child name;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 120 OR keep < interval '0' THEN
        RAISE EXCEPTION 'months_ahead must be from 0 to 120, and keep must not be negative';
    END IF;
    -- One caller at a time; the others have nothing to do.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('maintain_partitions ' || 'score_events'::regclass::oid, 0)) THEN
        RETURN;
    END IF;
    FOR i IN 0..months_ahead LOOP
        first := (this_month + make_interval(months => i)) AT TIME ZONE 'UTC';
        past := (this_month + make_interval(months => i + 1)) AT TIME ZONE 'UTC';
        child := 'score_events_' || to_char(first AT TIME ZONE 'UTC', 'YYYYMM');
        CONTINUE WHEN to_regclass(quote_ident(child)) IS NOT NULL;
        -- Made apart and then attached, as that locks inserts out of the default
        -- partition only, which first hands over what belongs here.
        EXECUTE format('CREATE TABLE %I (LIKE score_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child);
        EXECUTE format('WITH moved AS (DELETE FROM score_events_default WHERE at >= %L AND at < %L RETURNING *)
            INSERT INTO %I SELECT * FROM moved', first, past, child);
        EXECUTE format('ALTER TABLE score_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', child, first, past);
        action := 'made'; partition := child;
        RETURN NEXT;
    END LOOP;
    IF keep IS NULL THEN
        RETURN;
    END IF;
    -- A rollup that is being made now might be of what is to go: come again. Never
    -- waited for, as it may wait for the partitions made above.
    PERFORM FROM report_progress FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    FOR child IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'score_events'::regclass AND c.relname ~ '^score_events_[0-9]{6}$'
          AND to_date(right(c.relname, 6), 'YYYYMM') < kept
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        action := 'dropped'; partition := child;
        RETURN NEXT;
    END LOOP;
    DELETE FROM score_events_default WHERE at < kept AT TIME ZONE 'UTC';
    DELETE FROM report_tops WHERE monthly IN (false, true) AND start < kept;
    DELETE FROM report_counts WHERE monthly IN (false, true) AND start < kept;
END $$;
