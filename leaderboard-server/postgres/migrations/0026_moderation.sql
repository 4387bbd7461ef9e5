-- admits: 6
-- Moderation: what of the log does not count, and who is left out of rankings. The log itself
-- stays as it is. Servers of the version before know nothing of it: what they make of a player
-- who is moderated is put right by those of this one, once those lead.

-- Players whose entries are not shown. Their events are folded as all others, so that
-- everything is there again once they are.
CREATE TABLE exclusions (
    player bigint NOT NULL,
    -- 0: all boards.
    board  int NOT NULL,
    -- A ban keeps its player from submitting, too. One that is a shadow does not, and neither
    -- does hiding.
    kind   text NOT NULL CHECK (kind IN ('ban', 'shadow', 'hidden')),
    -- By the ledger's clock.
    since  timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Of a ban, the state that the player had before.
    state  text,
    PRIMARY KEY (player, board, kind)
);
CREATE INDEX exclusions_board ON exclusions (board, player);
CREATE INDEX exclusions_bans ON exclusions (since) WHERE kind = 'ban';

-- Players of whose events only those after a number count: of those that were submitted to the
-- board, there and on global, and of global those that others brought there.
CREATE TABLE removals (
    player  bigint NOT NULL,
    board   int NOT NULL,
    through bigint NOT NULL,
    -- Every event of the player up to through is from before it, and every other one from after
    -- it, as far as clocks go forward.
    at      timestamptz NOT NULL,
    PRIMARY KEY (player, board)
);
CREATE INDEX removals_board ON removals (board);

-- Events that do not count.
CREATE TABLE voids (
    event  bigint PRIMARY KEY,
    player bigint NOT NULL,
    board  int NOT NULL,
    -- When the event came.
    at     timestamptz NOT NULL
);
CREATE INDEX voids_player ON voids (player);
CREATE INDEX voids_board ON voids (board, at);

-- What rankings are to follow, in its order. A shard of one knows up to which number it has.
CREATE TABLE moderations (
    number  bigint PRIMARY KEY,
    player  bigint NOT NULL,
    -- The player's standings were made again of all events up to this one; 0: none was.
    through bigint NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX moderations_player ON moderations (player);
CREATE INDEX moderations_recounts ON moderations (number) WHERE through > 0;
CREATE TRIGGER raise_boards_version AFTER INSERT ON moderations FOR EACH ROW EXECUTE FUNCTION raise_boards_version();

-- Entries of seasons that were over when events of them ceased to count, or did again: what the
-- player has there instead of what the results say.
CREATE TABLE result_changes (
    board      int NOT NULL,
    season     int NOT NULL,
    player     bigint NOT NULL,
    -- Null: none.
    score      bigint,
    columns    bigint[],
    event      bigint,
    origin     int,
    reached_at timestamptz,
    PRIMARY KEY (board, season, player)
);
