-- admits: 6
-- Logins that are kept, names that were given up, and what every server has to hear of a player.
-- Servers of the version before know none of it: they issue tokens without a login, which only
-- token_version withdraws.

-- A player's login on one device: a family of refresh tokens, of which one is good at a time.
CREATE TABLE logins (
    id         uuid PRIMARY KEY,
    player     bigint NOT NULL,
    -- SHA-256 of the token that is good, and of the one whose place it took, with the bytes by
    -- which it was made of that.
    token_hash bytea NOT NULL,
    used_hash  bytea,
    used_at    timestamptz,
    nonce      bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK ((used_hash IS NULL) = (used_at IS NULL) AND (used_hash IS NULL) = (nonce IS NULL))
);
CREATE INDEX logins_of_players ON logins (player);
CREATE INDEX logins_by_expiry ON logins (expires_at);

-- The names that players had before. They stay theirs: name_skeletons keeps others from them.
CREATE TABLE past_names (
    player   bigint NOT NULL,
    username text NOT NULL,
    until    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (player, until)
);

-- What sets a new password, once.
CREATE TABLE password_resets (
    player     bigint PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL
);

-- What servers hear of accounts within seconds, for as long as an access token from before may
-- be good: another name, and logins and versions of tokens that are withdrawn.
CREATE TABLE account_changes (
    number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT now(),
    player        uuid NOT NULL,
    username      text,
    -- Tokens with a lower version are withdrawn.
    token_version int,
    login         uuid
);
CREATE INDEX account_changes_by_time ON account_changes (at);
