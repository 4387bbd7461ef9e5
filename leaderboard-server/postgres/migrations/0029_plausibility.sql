-- admits: 6
-- Boards whose players sign their submissions, and boards that bound by how much a submission
-- improves the standing of its player. Servers of the version before know nothing of either:
-- they take submissions as they did, and leave what is there.
ALTER TABLE boards ADD COLUMN signed boolean NOT NULL DEFAULT false;

-- 0: not bounded. Otherwise the standings of all time of a board whose best score counts are
-- made by the statements that append, too, under the lock of their rows, and what catch-up
-- folds is there already.
ALTER TABLE boards ADD COLUMN max_improvement bigint NOT NULL DEFAULT 0 CHECK (max_improvement BETWEEN 0 AND 9007199254740991);

-- From when on improvements are bounded, and the number of that transaction, as log_xid():
-- events from before it are in the standings once their checkpoint has passed it.
ALTER TABLE boards ADD COLUMN bounded_since timestamptz;
ALTER TABLE boards ADD COLUMN bounded_xid bigint;
