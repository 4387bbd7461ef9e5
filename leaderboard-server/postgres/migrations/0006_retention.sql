-- Dropping a partition locks all of score_events, and everybody who wants to insert
-- queues behind that lock while it waits for a reader. So it is done last, alone, and
-- waits 50 ms at most; the next attempt is later, whichever replica makes it.

-- One row: when a partition may be tried to be dropped again, and how many attempts
-- failed in a row. Who applies retention locks it.
CREATE TABLE retention_state (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    next_attempt timestamptz NOT NULL DEFAULT '-infinity',
    failures     int NOT NULL DEFAULT 0
);
INSERT INTO retention_state DEFAULT VALUES;

-- As before, but drops nothing: keep is what apply_retention takes. It stays for
-- servers of the version before, which still pass it.
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
END $$;

-- Takes one step to drop the events, by whole months of UTC, that are older than
-- keep, and what is rolled up of them: at most one partition, the oldest. state is
-- done (nothing is left to do), dropped (come again now), or waits (come again after
-- pause: somebody reads the events, or is at it already).
CREATE FUNCTION apply_retention(keep interval, OUT state text, OUT pause interval)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '50ms' AS $$
DECLARE
    -- The months before it are to go.
    kept timestamp := date_trunc('month', (now() - keep) AT TIME ZONE 'UTC');
    -- The months before it have gone.
    gone timestamp := kept;
    attempts retention_state;
    child name;
    -- The checkpoint of the standings, and the last transaction of what is to go.
    saved bigint;
    last bigint;
BEGIN
    IF keep < interval '0' THEN
        RAISE EXCEPTION 'keep must not be negative';
    END IF;

    state := 'waits';
    pause := interval '1 second';
    SELECT * INTO attempts FROM retention_state FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- A rollup that is being made now might be of what is to go.
    PERFORM FROM report_progress FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM FROM report_recent_progress FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT c.relname INTO child FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'score_events'::regclass AND c.relname ~ '^score_events_[0-9]{6}$'
        AND to_date(right(c.relname, 6), 'YYYYMM') < kept
    ORDER BY c.relname LIMIT 1;
    IF child IS NOT NULL THEN
        gone := to_date(right(child, 6), 'YYYYMM');
    END IF;
    -- Retention cuts the log, never a board: what is dropped lives on in the standings,
    -- so it has to be in there. Where it is not, catch-up is far behind.
    SELECT checkpoint INTO saved FROM ledger_state;
    WITH dropped AS (
        DELETE FROM score_events_default
        WHERE at < gone AT TIME ZONE 'UTC' AND (xid >= saved AND xid < log_history() + (1::bigint << 48)) IS NOT TRUE RETURNING xid
    )
    SELECT max(xid) INTO last FROM dropped WHERE xid >= log_history() AND xid < log_history() + (1::bigint << 48);
    IF last IS NOT NULL THEN
        UPDATE ledger_state SET log_start = greatest(log_start, last + 1);
    END IF;
    DELETE FROM report_tops WHERE monthly IN (false, true) AND start < gone;
    DELETE FROM report_counts WHERE monthly IN (false, true) AND start < gone;
    DELETE FROM report_recent_tops WHERE hourly IN (false, true) AND start < gone AT TIME ZONE 'UTC';
    DELETE FROM report_recent_counts WHERE hourly IN (false, true) AND start < gone AT TIME ZONE 'UTC';

    IF child IS NULL THEN
        state := 'done';
        pause := interval '0';
        RETURN;
    END IF;
    IF attempts.next_attempt > clock_timestamp() THEN
        pause := attempts.next_attempt - clock_timestamp();
        RETURN;
    END IF;

    EXECUTE format('SELECT max(xid) FROM %I WHERE xid >= $1 AND xid < $1 + (1::bigint << 48)', child) INTO last USING log_history();
    IF last >= saved THEN
        RETURN;
    END IF;

    -- Nothing comes after it, so that the lock is held for the commit alone.
    UPDATE retention_state SET next_attempt = '-infinity', failures = 0;
    BEGIN
        UPDATE ledger_state SET log_start = greatest(log_start, last + 1);
        EXECUTE format('DROP TABLE %I', child);
        state := 'dropped';
        pause := interval '0';
    EXCEPTION WHEN lock_not_available THEN
        -- 0.25 s, twice that each time, 30 s at most.
        pause := least(interval '250 milliseconds' * 2 ^ least(attempts.failures, 10), interval '30 seconds');
        UPDATE retention_state SET next_attempt = clock_timestamp() + pause, failures = attempts.failures + 1;
    END;
END $$;
