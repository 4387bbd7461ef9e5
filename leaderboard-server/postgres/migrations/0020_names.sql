-- admits: 6
-- Usernames that look alike. Servers of the version before register players without a
-- skeleton; maintenance gives those theirs, see fillSkeletons. It is a table of its own, so
-- that nothing waits for players to be read for an index.

-- What a player's username looks like, which is unique. Of players from before whose usernames
-- look alike the first one has it.
CREATE TABLE name_skeletons (
    skeleton text COLLATE "C" PRIMARY KEY,
    player   bigint NOT NULL
);

-- One row: the usernames of the players up to this number have been looked at.
CREATE TABLE skeleton_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    through  bigint NOT NULL
);
INSERT INTO skeleton_progress (through) VALUES (0);
