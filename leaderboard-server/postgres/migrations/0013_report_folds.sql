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
