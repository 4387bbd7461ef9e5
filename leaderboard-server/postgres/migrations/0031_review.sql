-- admits: 6
-- Boards that hold submissions of players back until somebody accepts them. Servers of the version
-- before know nothing of it: they take submissions as they did, and answer the repetition of one
-- that is held back as if it counted.

-- As the boards file has it; null: nothing is held back. With improvementAbove max_improvement is
-- that bound: servers of the version before refuse what improves by more.
ALTER TABLE boards ADD COLUMN review jsonb;

-- Whether the board ever held anything back: then a key may be that of a submission in
-- held_submissions.
ALTER TABLE boards ADD COLUMN reviewed boolean NOT NULL DEFAULT false;

-- What is held back is in no log: it is an event once it is accepted, and only then.
CREATE TABLE held_submissions (
    -- From event_ids, so that it tells what came before a removal; no event has it.
    id         bigint PRIMARY KEY,
    player     bigint NOT NULL,
    board      int NOT NULL REFERENCES boards,
    score      bigint NOT NULL,
    -- The further columns as they were sent, by name.
    columns    jsonb,
    metadata   text,
    reason     text NOT NULL,
    -- That of idempotency_keys, which has the id in place of an event, and does not expire before
    -- the decision.
    key        uuid,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    state      text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'accepted', 'rejected')),
    decided_at timestamptz,
    -- What it became.
    event      bigint,
    CHECK ((state = 'pending') = (decided_at IS NULL) AND (state = 'accepted') = (event IS NOT NULL))
);
CREATE INDEX held_submissions_pending ON held_submissions (id) WHERE state = 'pending';
CREATE INDEX held_submissions_player ON held_submissions (player, id);
CREATE INDEX held_submissions_decided ON held_submissions (decided_at) WHERE state <> 'pending';
