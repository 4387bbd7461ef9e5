-- admits: 6
-- Boards to which only servers of the game submit. Servers of the version before know nothing
-- of it: they take scores of players as they did, and leave what is there.
ALTER TABLE boards ADD COLUMN servers_only boolean NOT NULL DEFAULT false;
