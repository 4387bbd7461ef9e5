-- admits: 6
-- Rollups of boards whose scoring is not Best. The best of a day, which report_tops has, says
-- nothing of a sum, of what came first or of what came last: what a period adds to a report is
-- kept of every player.
--
-- How far they are made has rows of its own, so that servers of the version before, which go on
-- with the others, leave these where they are. What was over before this migration is rolled up
-- from its events: retention drops a month's events together with its rollups, so there is no
-- day that has only the old ones.

-- A day's (monthly: a month's) players on a board, by number, each with its submissions folded as
-- the board's scoring says.
CREATE TABLE report_folds (
    monthly      boolean NOT NULL,
    start        date NOT NULL,
    board        int NOT NULL,
    first_player bigint NOT NULL,
    players      bigint[] NOT NULL,
    -- How many scores each submitted.
    counts       int[] NOT NULL,
    -- The first, the last, the sum or the count of them. The sum of a period can leave what a
    -- sum of all time may be, as it is the difference of two.
    scores       bigint[] NOT NULL,
    -- The event that reached the score. Of a sum the last one that was not 0, or, where all
    -- were, the first one, negative. Of Latest 0 where the rollups do not tell.
    events       bigint[] NOT NULL,
    -- Of Latest the last event, and the last one with another score (0: there is none). Null
    -- for other scorings.
    lasts        bigint[],
    others       bigint[],
    PRIMARY KEY (monthly, start, board, first_player)
);
CREATE TABLE report_recent_folds (
    hourly       boolean NOT NULL,
    start        timestamptz NOT NULL,
    board        int NOT NULL,
    first_player bigint NOT NULL,
    players      bigint[] NOT NULL,
    counts       int[] NOT NULL,
    scores       bigint[] NOT NULL,
    events       bigint[] NOT NULL,
    lasts        bigint[],
    others       bigint[],
    PRIMARY KEY (hourly, start, board, first_player)
);

-- What report_progress and report_recent_progress are for the other rollups.
CREATE TABLE report_fold_progress (LIKE report_progress INCLUDING ALL);
CREATE TABLE report_recent_fold_progress (LIKE report_recent_progress INCLUDING ALL);

-- A game that has no such board has none of their events either: it is folded as far as it is
-- rolled up.
INSERT INTO report_fold_progress (since, days_until, months_until)
    SELECT since, CASE WHEN due THEN since ELSE days_until END,
        CASE WHEN due THEN date_trunc('month', since + interval '1 month' - interval '1 day') ELSE months_until END
    FROM report_progress, LATERAL (SELECT EXISTS (SELECT FROM boards WHERE scoring <> 'Best')) b (due);
INSERT INTO report_recent_fold_progress (since, hours_until, quarters_until)
    SELECT since, CASE WHEN due THEN since ELSE hours_until END, CASE WHEN due THEN since ELSE quarters_until END
    FROM report_recent_progress, LATERAL (SELECT EXISTS (SELECT FROM boards WHERE scoring <> 'Best')) b (due);

-- As before, and drops these rollups with the events that they are of.
CREATE OR REPLACE FUNCTION apply_retention(keep interval, OUT state text, OUT pause interval)
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
    PERFORM FROM report_fold_progress FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM FROM report_recent_fold_progress FOR UPDATE SKIP LOCKED;
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
        WHERE at < gone AT TIME ZONE 'UTC' AND (xid >= saved AND xid < log_history() + ((1::bigint << 48) - 1)) IS NOT TRUE RETURNING xid
    )
    SELECT max(xid) INTO last FROM dropped WHERE xid >= log_history() AND xid < log_history() + ((1::bigint << 48) - 1);
    IF last IS NOT NULL THEN
        UPDATE ledger_state SET log_start = greatest(log_start, last + 1);
    END IF;
    DELETE FROM report_tops WHERE monthly IN (false, true) AND start < gone;
    DELETE FROM report_counts WHERE monthly IN (false, true) AND start < gone;
    DELETE FROM report_recent_tops WHERE hourly IN (false, true) AND start < gone AT TIME ZONE 'UTC';
    DELETE FROM report_recent_counts WHERE hourly IN (false, true) AND start < gone AT TIME ZONE 'UTC';
    DELETE FROM report_folds WHERE monthly IN (false, true) AND start < gone;
    DELETE FROM report_recent_folds WHERE hourly IN (false, true) AND start < gone AT TIME ZONE 'UTC';

    IF child IS NULL THEN
        state := 'done';
        pause := interval '0';
        RETURN;
    END IF;
    IF attempts.next_attempt > clock_timestamp() THEN
        pause := attempts.next_attempt - clock_timestamp();
        RETURN;
    END IF;

    EXECUTE format('SELECT max(xid) FROM %I WHERE xid >= $1 AND xid < $1 + ((1::bigint << 48) - 1)', child) INTO last USING log_history();
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
