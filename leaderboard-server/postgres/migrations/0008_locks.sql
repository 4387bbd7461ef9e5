-- admits: 6
-- Advisory locks are the database's: each login of it can hold any of them. So
-- what one game does at a time is ordered by rows and tables that only its own logins
-- reach. The lead is the exception, as its session listens and so is in no transaction:
-- its lock has a key of chance, which is changed when a stranger holds it.

-- One row: what the number of the lock of the lead is made from.
CREATE TABLE lead_key (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    key      uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO lead_key DEFAULT VALUES;

-- As before, under the lock of the row by which retention is ordered, too.
CREATE OR REPLACE FUNCTION maintain_partitions(months_ahead int, keep interval)
    RETURNS TABLE (action text, partition name)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '2s' AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    first timestamptz;
    past timestamptz;
    child name;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 120 OR keep < interval '0' THEN
        RAISE EXCEPTION 'months_ahead must be from 0 to 120, and keep must not be negative';
    END IF;
    -- One caller at a time; the others have nothing to do.
    PERFORM FROM retention_state FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
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
END $$;
