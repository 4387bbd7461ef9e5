-- admits: 6
-- Players who were erased: what says who they were is deleted in the transaction that adds a row
-- here, and what takes longer by those that lead. Servers of the version before find no such
-- player, and show no name for what they rank of one.

-- Who was erased is left out of all rankings for good.
ALTER TABLE exclusions DROP CONSTRAINT exclusions_kind_check,
    ADD CONSTRAINT exclusions_kind_check CHECK (kind IN ('ban', 'shadow', 'hidden', 'erased'));

CREATE TABLE erasures (
    -- That of the moderation which has the rankings follow.
    number      bigint PRIMARY KEY,
    player      bigint NOT NULL,
    -- That of the audit, which alone has the player's id.
    record      bigint NOT NULL,
    -- When the player had registered, until it is finished: what retention has dropped of the
    -- log may have been the player's, then.
    registered  timestamptz,
    -- Null: idempotency keys, metadata, and what was written meanwhile may be left.
    finished_at timestamptz
);
CREATE INDEX erasures_unfinished ON erasures (number) WHERE finished_at IS NULL;

-- So that tokens of those who were erased lately are refused.
CREATE INDEX audit_erasures ON audit (at) WHERE action = 'erase';
