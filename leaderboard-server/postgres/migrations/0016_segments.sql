-- admits: 6
-- Segments: a board is split by attributes of its players, such as their country. An event
-- says itself in which segments it counts, so that what is folded from the log does not depend
-- on what players and boards are later. Servers of the version before know none of it.

-- Who appends queues behind this while it waits for a reader, such as a report: not for longer
-- than this. It is then tried again.
SET LOCAL lock_timeout = '1s';

-- The numbers of the values that the player had of the attributes by which the board was
-- split, and below 0, negated, of those by which global was, where the event counts there from
-- another board. Null: none.
ALTER TABLE score_events ADD COLUMN segments int[];

-- The attributes of players, as they are configured.
CREATE TABLE attributes (
    name    text COLLATE "C" PRIMARY KEY,
    -- The order in which they are configured.
    place   int NOT NULL,
    -- What players may have: these values, or, where there are none, what matches the pattern.
    allowed text[] NOT NULL,
    pattern text NOT NULL,
    active  boolean NOT NULL DEFAULT true
);

-- The values that players have or had, with the numbers by which events and rankings know
-- them. None is given twice, and a ranking's number has room for 1000 (segment_season).
CREATE TABLE attribute_values (
    number    int PRIMARY KEY CHECK (number BETWEEN 1 AND 1000),
    attribute text COLLATE "C" NOT NULL,
    value     text COLLATE "C" NOT NULL,
    UNIQUE (attribute, value)
);

CREATE TABLE player_attributes (
    player     bigint NOT NULL,
    attribute  text COLLATE "C" NOT NULL,
    value      int NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (player, attribute)
);

-- The attributes by which boards are split, or were.
CREATE TABLE board_segments (
    board       int NOT NULL REFERENCES boards,
    attribute   text COLLATE "C" NOT NULL,
    place       int NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    -- Events count from then on: while servers of the version before might lead, which join
    -- events to whole rankings only, none does.
    counts_from timestamptz NOT NULL,
    -- How many times it was removed and brought back.
    returned    int NOT NULL DEFAULT 0,
    PRIMARY KEY (board, attribute)
);

CREATE TRIGGER raise_boards_version AFTER INSERT OR UPDATE OR DELETE ON attributes FOR EACH ROW EXECUTE FUNCTION raise_boards_version();
CREATE TRIGGER raise_boards_version AFTER INSERT OR UPDATE OR DELETE ON attribute_values FOR EACH ROW EXECUTE FUNCTION raise_boards_version();
CREATE TRIGGER raise_boards_version AFTER INSERT OR UPDATE OR DELETE ON board_segments FOR EACH ROW EXECUTE FUNCTION raise_boards_version();

-- The number of the ranking of a value's segment of a season, as the package leaderboard has
-- it: below 0, the season times 1024 and the value. Numbers of refolds count down from 2^21.
CREATE FUNCTION segment_season(season int, value int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT -(CASE WHEN season > 1073741824 THEN 2097152 - (season - 1073741824) ELSE season END * 1024 + value)
$$;
