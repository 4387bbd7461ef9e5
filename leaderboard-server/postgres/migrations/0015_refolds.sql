-- admits: 6
-- Another order or scoring of a board: its events are folded once more, into a ranking with
-- a season number of its own, while the one that there is goes on being served. Then one
-- transaction gives the board the new order and scoring, and its row of seasons the new
-- number. Servers of the version before know nothing of a refold under way, and find the
-- new number in seasons.

-- How many season numbers were given to refolds of the board: 2^30 + 1, 2^30 + 2 and so
-- on, where seasons of windows do not come to. None is given twice.
ALTER TABLE boards ADD COLUMN refolds int NOT NULL DEFAULT 0;

-- Whether retention has dropped events of the board: it cannot be refolded then.
ALTER TABLE boards ADD COLUMN log_cut boolean NOT NULL DEFAULT false;

-- What was dropped up to now is not known by board. Partitions are made from the month of
-- the schema on, and dropped from the first on.
UPDATE boards SET log_cut = true
WHERE (SELECT min(to_date(right(c.relname, 6), 'YYYYMM')) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'score_events'::regclass AND c.relname ~ '^score_events_[0-9]{6}$')
    > (SELECT date_trunc('month', applied_at AT TIME ZONE 'UTC') FROM schema_migrations WHERE version = 1);

-- The order and scoring that boards are to get.
CREATE TABLE refolds (
    board       int PRIMARY KEY REFERENCES boards,
    board_order text NOT NULL,
    scoring     text NOT NULL,
    fold        fold NOT NULL GENERATED ALWAYS AS (CASE scoring
        WHEN 'First' THEN 0 WHEN 'Latest' THEN 3 WHEN 'Sum' THEN 4 WHEN 'Count' THEN 5
        ELSE CASE board_order WHEN 'Descending' THEN 1 ELSE 2 END END) STORED,
    -- Why it cannot be done as things are; null: nothing is known against it.
    refused     text,
    -- Whether it is refused for other columns that were asked for.
    of_columns  boolean NOT NULL DEFAULT false,
    -- Whether it will never be possible.
    final       boolean NOT NULL DEFAULT false,
    -- The number of the ranking that is made; null: it is not begun.
    season      int,
    -- Once all parts are done, every event up to this number is in the standings of season.
    cut         bigint,
    -- Every event after cut is of a transaction from this one on, as log_xid(). Every event of
    -- one below it is up to cut.
    cut_xid     bigint,
    -- The players are folded in so many parts.
    parts       int NOT NULL DEFAULT 0,
    parts_done  int NOT NULL DEFAULT 0,
    -- How many events up to the first cut there are, and how many of them were folded.
    events      bigint NOT NULL DEFAULT 0,
    events_done bigint NOT NULL DEFAULT 0,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (season IS NULL OR cut IS NOT NULL AND cut_xid IS NOT NULL)
);

-- Rankings that refolds have superseded, or that were given up: what is left of them is
-- deleted some minutes later, when nobody is on the way to them any more.
CREATE TABLE retired_rankings (
    board       int NOT NULL REFERENCES boards,
    season      int NOT NULL,
    board_order text NOT NULL,
    scoring     text NOT NULL,
    retired_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (board, season)
);

CREATE TRIGGER raise_boards_version AFTER INSERT OR DELETE OR UPDATE OF board_order, scoring, season, refused ON refolds
    FOR EACH ROW EXECUTE FUNCTION raise_boards_version();
CREATE TRIGGER raise_boards_version AFTER INSERT OR DELETE ON retired_rankings FOR EACH ROW EXECUTE FUNCTION raise_boards_version();

-- The order by which a closed season's results are; null: the board's.
ALTER TABLE window_seasons ADD COLUMN board_order text;

-- Makes a statement that appends fail whose caller takes a board's scoring for one that is
-- not ordered: it reads the boards again. Nothing was stored.
CREATE FUNCTION boards_changed() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the scoring of a board was changed' USING ERRCODE = 'LB001';
END $$;

-- As before, and drops the rollups of other scorings than Best, too, and notes of which
-- boards it drops events.
CREATE OR REPLACE FUNCTION apply_retention(keep interval, OUT state text, OUT pause interval)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '50ms' AS $$
DECLARE
    -- The months before it are to go.
    kept timestamp := date_trunc('month', (now() - keep) AT TIME ZONE 'UTC');
    -- The months before it have gone.
    gone timestamp := kept;
    attempts retention_state;
    child name;
    -- The checkpoint of the standings, and the last transaction and the boards of what is to
    -- go.
    saved bigint;
    last bigint;
    cut int[];
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
        WHERE at < gone AT TIME ZONE 'UTC' AND (xid >= saved AND xid < log_history() + ((1::bigint << 48) - 1)) IS NOT TRUE RETURNING xid, board
    )
    SELECT max(xid) FILTER (WHERE xid >= log_history() AND xid < log_history() + ((1::bigint << 48) - 1)), array_agg(DISTINCT board) INTO last, cut FROM dropped;
    IF last IS NOT NULL THEN
        UPDATE ledger_state SET log_start = greatest(log_start, last + 1);
    END IF;
    -- global has events of all boards.
    UPDATE boards SET log_cut = true WHERE NOT log_cut AND cut IS NOT NULL AND (number = 1 OR number = ANY (cut));
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

    EXECUTE format('SELECT max(last), array_agg(board) FROM (
            SELECT board, max(xid) FILTER (WHERE xid >= $1 AND xid < $1 + ((1::bigint << 48) - 1)) AS last FROM %I GROUP BY board) b', child)
        INTO last, cut USING log_history();
    IF last >= saved THEN
        RETURN;
    END IF;

    -- Nothing comes after it, so that the lock is held for the commit alone.
    UPDATE retention_state SET next_attempt = '-infinity', failures = 0;
    BEGIN
        UPDATE ledger_state SET log_start = greatest(log_start, last + 1);
        UPDATE boards SET log_cut = true WHERE NOT log_cut AND cut IS NOT NULL AND (number = 1 OR number = ANY (cut));
        EXECUTE format('DROP TABLE %I', child);
        state := 'dropped';
        pause := interval '0';
    EXCEPTION WHEN lock_not_available THEN
        -- 0.25 s, twice that each time, 30 s at most.
        pause := least(interval '250 milliseconds' * 2 ^ least(attempts.failures, 10), interval '30 seconds');
        UPDATE retention_state SET next_attempt = clock_timestamp() + pause, failures = attempts.failures + 1;
    END;
END $$;
