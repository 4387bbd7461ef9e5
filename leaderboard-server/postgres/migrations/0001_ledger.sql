-- The ledger: players, boards and seasons; the append-only score events; and
-- the standings folded from them.
--
-- Everything here belongs to the schema's owner. The server's role gets its
-- rights from the schema's default privileges and runs no DDL; what it needs
-- done to partitions it asks maintain_partitions for.

-- One row: what this ledger was when its xids were written. Another system
-- identifier or another oid of standings means that the data were restored from
-- a dump: xids are then from elsewhere and must be written anew.
CREATE TABLE ledger_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    origin   text NOT NULL
);

CREATE TABLE players (
    -- Compact: ranking entries hold it in 5 bytes.
    number        bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 1099511627775) PRIMARY KEY,
    id            uuid NOT NULL UNIQUE,
    username      text NOT NULL,
    username_key  text COLLATE "C" NOT NULL UNIQUE,
    password_hash text NOT NULL,
    token_version int NOT NULL DEFAULT 1,
    state         text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled')),
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- How scores fold into a standing. 1: the highest counts; 2: the lowest; 3: the
-- latest; 4: their sum.
CREATE DOMAIN fold AS smallint CHECK (VALUE BETWEEN 1 AND 4);

CREATE TABLE boards (
    number               int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                 text COLLATE "C" NOT NULL UNIQUE,
    board_order          text NOT NULL CHECK (board_order IN ('Descending', 'Ascending')),
    scoring              text NOT NULL CHECK (scoring IN ('Best', 'Latest', 'Sum')),
    fold                 fold NOT NULL GENERATED ALWAYS AS (CASE scoring
                             WHEN 'Latest' THEN 3 WHEN 'Sum' THEN 4
                             ELSE CASE board_order WHEN 'Descending' THEN 1 ELSE 2 END END) STORED,
    min_score            bigint NOT NULL,
    max_score            bigint NOT NULL,
    counts_toward_global boolean NOT NULL,
    shards               int NOT NULL CHECK (shards BETWEEN 1 AND 64),
    -- Whether the board is configured now. Boards are never deleted: past
    -- events and entries on global name them.
    active               boolean NOT NULL DEFAULT true
);

-- The season of a submission is the one that is open by now().
CREATE TABLE seasons (
    board     int NOT NULL REFERENCES boards,
    number    int NOT NULL CHECK (number >= 1),
    opens_at  timestamptz NOT NULL,
    closes_at timestamptz CHECK (closes_at > opens_at),
    PRIMARY KEY (board, number)
);

-- Board 1 is global. shards is brought in line with the configuration later.
INSERT INTO boards (name, board_order, scoring, min_score, max_score, counts_toward_global, shards)
    VALUES ('global', 'Descending', 'Best', -9007199254740991, 9007199254740991, true, 1);
INSERT INTO seasons (board, number, opens_at) VALUES (1, 1, '-infinity');

-- The order of events: ranking entries hold it in 6 bytes. CACHE 1, as a block
-- kept by a session would let a later event have a lower number.
CREATE SEQUENCE event_ids AS bigint MAXVALUE 281474976710655 CACHE 1;

-- No primary key: nothing looks events up by id alone, and the index would cost
-- a quarter of a submission. No foreign keys: the one statement that inserts
-- takes player, board and season from their tables.
CREATE TABLE score_events (
    id            bigint NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    player        bigint NOT NULL,
    score         bigint NOT NULL CHECK (score BETWEEN -9007199254740991 AND 9007199254740991),
    board         int NOT NULL,
    season        int NOT NULL,
    -- The season of global that the event counts in, null if it does not.
    global_season int,
    -- Whether the player's standing on the board got better by this event.
    improved      boolean NOT NULL
) PARTITION BY RANGE (at);

-- Takes what no partition has room for, so that an insert never fails. It stays
-- empty as long as partitions are made ahead.
CREATE TABLE score_events_default PARTITION OF score_events DEFAULT;

-- Events arrive in the order of time, so a block range index finds a time for
-- next to nothing.
CREATE INDEX score_events_at ON score_events USING brin (at) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE standings (
    board          int NOT NULL,
    season         int NOT NULL,
    player         bigint NOT NULL,
    score          bigint NOT NULL CONSTRAINT standings_score CHECK (score BETWEEN -9007199254740991 AND 9007199254740991),
    -- The event that reached the score: lower ranks first among equal scores.
    event          bigint NOT NULL,
    -- Rises with every change of this row.
    version        bigint NOT NULL DEFAULT 1,
    -- The score before the last change (see entered): lets the statement that
    -- changes the row say what it replaced.
    previous_score bigint NOT NULL,
    -- Only events after this one count: set when an entry is removed.
    counts_after   bigint NOT NULL DEFAULT 0,
    -- The transaction that wrote the row last; what catch-up reads by.
    xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- The board where the score was made; differs from board on global only.
    origin         int NOT NULL,
    -- The board's fold, here so that folding needs no lookup.
    fold           fold NOT NULL,
    removed        boolean NOT NULL DEFAULT false,
    -- Whether the last change put the player on the board: previous_score then
    -- means nothing.
    entered        boolean NOT NULL DEFAULT true,
    PRIMARY KEY (board, season, player)
) WITH (fillfactor = 90);

CREATE INDEX standings_xid ON standings (xid);

INSERT INTO ledger_state (origin)
    SELECT system_identifier || '-' || 'standings'::regclass::oid FROM pg_control_system();

CREATE TABLE idempotency_keys (
    player      bigint NOT NULL,
    -- 128 bits of SHA-256 of the key, and of what was submitted.
    key         uuid NOT NULL,
    fingerprint uuid NOT NULL,
    -- The outcome: the event and its time.
    event       bigint NOT NULL,
    event_at    timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (player, key)
);

CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);

-- Makes the calling statement fail so that its caller repeats it.
CREATE FUNCTION repeat_transaction() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the entry was removed while its submission was on its way' USING ERRCODE = 'serialization_failure';
END $$;

-- Identifies the data that standings.xid is valid in: the cluster, its timeline
-- and the table. After a failover, a restore or a copy it is another.
CREATE FUNCTION ledger_identity() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT system_identifier || '-' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) || '-' || 'standings'::regclass::oid
    FROM pg_control_system()
$$;

-- Makes the monthly partitions of score_events from this month to months_ahead
-- from now, and drops those that ended more than keep ago (null: none). Months
-- are UTC's. Runs as the schema's owner, so that the server's role needs no DDL.
-- Returns the names of the partitions made and dropped.
CREATE FUNCTION maintain_partitions(months_ahead int, keep interval)
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
    FOR child IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'score_events'::regclass AND c.relname ~ '^score_events_[0-9]{6}$'
          AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') AT TIME ZONE 'UTC' <= now() - keep
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        action := 'dropped'; partition := child;
        RETURN NEXT;
    END LOOP;
    IF keep IS NOT NULL THEN
        DELETE FROM score_events_default WHERE at < now() - keep;
    END IF;
END $$;

SELECT maintain_partitions(12, NULL);
