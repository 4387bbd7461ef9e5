-- admits: 6
-- What admins and moderators did, as a chain: each record has the hash of the one before it in
-- its own. Servers of the version before know nothing of it, and do nothing that belongs in it.

CREATE TABLE audit (
    -- From 1, without a gap.
    number  bigint PRIMARY KEY CHECK (number >= 1),
    at      timestamptz NOT NULL,
    -- The service account.
    actor   text NOT NULL,
    action  text NOT NULL,
    -- Whom or what it was about; null and '': not that.
    player  uuid,
    board   text NOT NULL,
    -- What of the board: an event, or a season of a window.
    what    text NOT NULL,
    reason  text NOT NULL,
    note    text NOT NULL,
    -- Whether anything became another: what is done twice is in the audit twice.
    changed boolean NOT NULL,
    -- As the package leaderboard makes it.
    hash    bytea NOT NULL CHECK (octet_length(hash) = 32)
);
CREATE INDEX audit_player ON audit (player, number) WHERE player IS NOT NULL;

-- One row: the last record, sealed with a key that this schema's owner does not have.
CREATE TABLE audit_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number   bigint NOT NULL,
    hash     bytea NOT NULL CHECK (octet_length(hash) = 32),
    seal     text NOT NULL
);
INSERT INTO audit_head (number, hash, seal) VALUES (0, decode(repeat('00', 32), 'hex'), '');

-- Records are added and read, and that is all that servers may do: the default privileges
-- of the schema gave them more.
DO $$
DECLARE
    grantee name;
BEGIN
    FOR grantee IN
        SELECT DISTINCT pg_get_userbyid(a.grantee) FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'audit'::regclass AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM %I', grantee);
    END LOOP;
END $$;
