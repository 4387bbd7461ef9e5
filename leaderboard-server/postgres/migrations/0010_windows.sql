-- admits: 6
-- Windows: rankings of parts of the time over the same submissions. Their seasons are in a
-- table of their own, as servers of the version before take each row of seasons for the
-- only one that is open. Those know nothing of windows: what they append counts there by
-- its time, but they make no standings of ordered scorings.

CREATE TABLE windows (
    board     int NOT NULL REFERENCES boards,
    name      text COLLATE "C" NOT NULL,
    -- The order in which they are configured.
    place     int NOT NULL,
    -- When a season ends and the next begins, and the zone whose clocks it means. '': the
    -- window is there once, from starts_at to ends_at.
    schedule  text NOT NULL,
    time_zone text NOT NULL,
    starts_at timestamptz,
    ends_at   timestamptz,
    -- Of how many closed seasons the results are kept.
    keep      int NOT NULL,
    -- Whether it is configured now. One that is not announces no seasons.
    active    boolean NOT NULL DEFAULT true,
    PRIMARY KEY (board, name),
    CHECK ((schedule = '') = (starts_at IS NOT NULL AND ends_at IS NOT NULL))
);

-- Whether the board has a ranking of all time. Its standings are made all the same, so that
-- it can be had again.
ALTER TABLE boards ADD COLUMN windows_only boolean NOT NULL DEFAULT false;

-- The runs of windows, announced before they open, without a gap or an overlap within a
-- window. An event counts in those with opens_at <= at < closes_at.
CREATE TABLE window_seasons (
    board     int NOT NULL,
    -- Unlike those of any other season of the board; 1 is that of all time.
    number    int NOT NULL CHECK (number > 1),
    name      text COLLATE "C" NOT NULL,
    -- Counts the seasons of the window, from 1.
    ordinal   int NOT NULL CHECK (ordinal >= 1),
    opens_at  timestamptz NOT NULL,
    closes_at timestamptz NOT NULL CHECK (closes_at > opens_at),
    -- When its results were final; null: not yet.
    closed_at timestamptz,
    -- How many entries the results have.
    entries   bigint,
    -- Whether nothing of it can be left in Redis.
    swept     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (board, number),
    UNIQUE (board, name, ordinal),
    FOREIGN KEY (board, name) REFERENCES windows
);
CREATE INDEX window_seasons_running ON window_seasons (board) WHERE closed_at IS NULL;

-- Ends a season of a window (null: the open one) at a time, at least 2 s from now: earlier
-- than it was to end, or later, but before the end of the next one. The next one begins then;
-- after an early end it ends when this one was to. Returns when the season ends; null: it is
-- not open, or the next one is not announced yet, which takes a second.
CREATE FUNCTION end_season(board_name text, window_name text, season int, at timestamptz) RETURNS timestamptz LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    -- By then all who append know.
    soon timestamptz;
    running window_seasons;
    following window_seasons;
    ends timestamptz;
BEGIN
    LOCK TABLE window_seasons IN SHARE ROW EXCLUSIVE MODE;
    soon := clock_timestamp() + interval '2 seconds';
    SELECT s.* INTO running FROM window_seasons s JOIN boards b ON b.number = s.board
    WHERE b.name = board_name AND s.name = window_name AND s.opens_at <= clock_timestamp() AND s.closes_at > clock_timestamp()
        AND (season IS NULL OR s.ordinal = season);
    IF NOT FOUND OR running.closes_at <= soon THEN
        RETURN running.closes_at;
    END IF;

    ends := greatest(at, soon);
    SELECT * INTO following FROM window_seasons s WHERE s.board = running.board AND s.name = running.name AND s.ordinal = running.ordinal + 1;
    IF NOT FOUND AND EXISTS (SELECT FROM windows w WHERE w.board = running.board AND w.name = running.name AND w.active AND w.schedule <> '') THEN
        RETURN NULL; -- what comes after its end would be in no season
    END IF;
    IF ends >= following.closes_at THEN
        RAISE EXCEPTION 'season % cannot end at %, as the next one ends at %', running.ordinal, ends, following.closes_at USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE window_seasons s SET closes_at = ends WHERE s.board = running.board AND s.number = running.number;
    UPDATE window_seasons s SET opens_at = ends, closes_at = CASE WHEN ends < running.closes_at THEN running.closes_at ELSE s.closes_at END
    WHERE s.board = following.board AND s.number = following.number;
    RETURN ends;
END $$;

-- One row: rises whenever boards, windows or the bounds of seasons change, so that a server
-- finds out with each batch whether it knows them as they are. That a season comes after the
-- last one that it knows, it finds out by the time.
CREATE TABLE boards_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL DEFAULT 1
);
INSERT INTO boards_version DEFAULT VALUES;

CREATE FUNCTION raise_boards_version() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE boards_version SET version = version + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER raise_boards_version AFTER INSERT OR UPDATE OR DELETE ON windows FOR EACH ROW EXECUTE FUNCTION raise_boards_version();
CREATE TRIGGER raise_boards_version AFTER UPDATE OF opens_at, closes_at ON window_seasons FOR EACH ROW EXECUTE FUNCTION raise_boards_version();
CREATE TRIGGER raise_boards_version AFTER INSERT OR UPDATE OR DELETE ON boards FOR EACH ROW EXECUTE FUNCTION raise_boards_version();

-- The results of closed seasons: the entries in rank order, some together in one row, so
-- that a page is a row or two however deep it is.
CREATE TABLE result_ranks (
    board      int NOT NULL,
    season     int NOT NULL,
    first_rank bigint NOT NULL,
    players    bigint[] NOT NULL,
    scores     bigint[] NOT NULL,
    -- The events that reached the scores.
    events     bigint[] NOT NULL,
    -- Null: all scores were made on the board itself.
    origins    int[],
    -- The first score, negative where the highest is the best: what ranks are found by.
    first_order bigint NOT NULL,
    PRIMARY KEY (board, season, first_rank)
);
CREATE INDEX result_ranks_order ON result_ranks (board, season, first_order);

-- The ranks by player, some together.
CREATE TABLE result_players (
    board        int NOT NULL,
    season       int NOT NULL,
    first_player bigint NOT NULL,
    players      bigint[] NOT NULL,
    ranks        bigint[] NOT NULL,
    PRIMARY KEY (board, season, first_player)
);

-- Numbers compress little, and compressing is most of what writing them takes.
ALTER TABLE result_ranks ALTER COLUMN players SET STORAGE EXTERNAL, ALTER COLUMN scores SET STORAGE EXTERNAL,
    ALTER COLUMN events SET STORAGE EXTERNAL, ALTER COLUMN origins SET STORAGE EXTERNAL;
ALTER TABLE result_players ALTER COLUMN players SET STORAGE EXTERNAL, ALTER COLUMN ranks SET STORAGE EXTERNAL;
