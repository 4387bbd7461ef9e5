-- admits: 6
-- Limits of how often a player may submit to a board, and how many submissions a second a game
-- takes. Servers of the version before know nothing of either: what they take is not counted.

-- Null: none. Otherwise perMinute, cooldownSeconds and attempts, as the boards file has them.
ALTER TABLE boards ADD COLUMN limits jsonb;

-- What players have submitted to boards with limits. A row is locked, judged by and changed by
-- the statement that appends, so that all servers of a game count in one place.
CREATE TABLE submission_counts (
    board       int NOT NULL,
    player      bigint NOT NULL,
    -- How many were counted since there is a row: it shows that none was counted in between.
    submissions bigint NOT NULL,
    last_at     timestamptz NOT NULL,
    -- When those of the last minute came, in order, if the board limits them.
    recent      timestamptz[] NOT NULL,
    -- By the names of windows in which attempts are limited: the season, by its ordinal, 0 for
    -- that of all time, and how many there were in it.
    attempts    jsonb NOT NULL,
    PRIMARY KEY (board, player)
) WITH (fillfactor = 80);

-- For the erasure of a player.
CREATE INDEX submission_counts_player ON submission_counts (player);

-- One row: how many submissions of a second servers have leased.
CREATE TABLE submission_leases (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    second   bigint NOT NULL DEFAULT 0,
    leased   bigint NOT NULL DEFAULT 0
);
INSERT INTO submission_leases DEFAULT VALUES;

-- Leases up to wanted of the submissions of the second that it is, of which there are most in
-- all; remaining is what is left of the second.
CREATE FUNCTION lease_submissions(most bigint, wanted bigint, OUT granted bigint, OUT remaining interval) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    lease submission_leases;
    at timestamptz;
    this bigint;
BEGIN
    -- What a crash loses is of a second that is over when PostgreSQL is back.
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO lease FROM submission_leases FOR UPDATE;
    at := clock_timestamp(); -- after the wait
    this := floor(extract(epoch FROM at));
    remaining := to_timestamp(this + 1) - at;

    -- A clock that was set back leases nothing twice.
    IF lease.second < this THEN
        lease.leased := 0;
    END IF;
    granted := greatest(least(wanted, most - lease.leased), 0);
    IF granted > 0 THEN
        UPDATE submission_leases SET second = greatest(second, this), leased = lease.leased + granted;
    END IF;
END $$;
