-- admits: 6
-- Boards whose entries belong to owners that the game's servers name: teams, clans, cars or maps.
-- Servers of the version before show of an owner the username of its row in players, which
-- nobody logs in with, and leave what is there.
ALTER TABLE boards ADD COLUMN external_owners boolean NOT NULL DEFAULT false;

-- An owner is a row of players like any other, so that everything that is made of players' scores
-- is made of those of owners. As with external_ids, a row here is made before that.
CREATE TABLE owners (
    owner_id text COLLATE "C" PRIMARY KEY CHECK (owner_id ~ '^[!-~]{1,128}$'),
    player   uuid NOT NULL UNIQUE,
    -- Empty: the game has given none, and the id is shown.
    name     text NOT NULL CHECK (char_length(name) <= 64)
);

-- The name that the game has given an owner.
ALTER TABLE account_changes ADD COLUMN owner_name text;
