-- Rollups of the quarter hours and hours that are over of the last days, so that a
-- report of the running day, of any time zone, reads the events of some minutes only.

-- One row: the quarter hours that are rolled up: since <= quarter < quarters_until, and
-- the whole hours among them that start before hours_until. since is a midnight of UTC.
-- Who rolls up locks it.
CREATE TABLE report_recent_progress (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    since          timestamptz NOT NULL,
    hours_until    timestamptz NOT NULL CHECK (hours_until >= since),
    quarters_until timestamptz NOT NULL CHECK (quarters_until >= hours_until)
);

-- What report_tops and report_counts are for days and months.
CREATE TABLE report_recent_tops (
    hourly  boolean NOT NULL,
    start   timestamptz NOT NULL,
    board   int NOT NULL,
    place   int NOT NULL,
    players bigint[] NOT NULL,
    scores  bigint[] NOT NULL,
    events  bigint[] NOT NULL,
    origins int[] NOT NULL,
    PRIMARY KEY (hourly, start, board, place)
);
CREATE TABLE report_recent_counts (
    hourly       boolean NOT NULL,
    start        timestamptz NOT NULL,
    board        int NOT NULL,
    first_player bigint NOT NULL,
    players      bigint[] NOT NULL,
    counts       int[] NOT NULL,
    PRIMARY KEY (hourly, start, board, first_player)
);

INSERT INTO report_recent_progress (since, hours_until, quarters_until)
    SELECT start, start, start FROM (SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '48 hours') t (start);
