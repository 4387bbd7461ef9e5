-- admits: 6
-- Players by the ids that the game has for them elsewhere. Servers of the version before know
-- nothing of them, and leave what is there.

-- A row is made before its player, in the same statement: so of two servers that make the player
-- of one external id, one makes none. That is why it has the id and not the number.
CREATE TABLE external_ids (
    external_id text COLLATE "C" PRIMARY KEY CHECK (external_id ~ '^[!-~]{1,128}$'),
    player      uuid NOT NULL UNIQUE
);
