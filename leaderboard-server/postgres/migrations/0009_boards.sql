-- admits: 6
-- global may be derived: it then has what other boards bring, and takes no submissions of
-- its own. The servers check that.
ALTER TABLE boards ADD COLUMN derived boolean NOT NULL DEFAULT false;

-- How many digits of a score clients show behind the point.
ALTER TABLE boards ADD COLUMN decimals smallint NOT NULL DEFAULT 0 CHECK (decimals BETWEEN 0 AND 9);

-- Two more scorings. First: the first submission stays, a join of its events as Best is.
-- Count: how often a player submitted, ordered as Sum is.

-- 0: the first counts; 1: the highest; 2: the lowest; from 3 on they are ordered: 3 the
-- latest, 4 the sum, 5 the count. Servers of the version before take 0 for no fold of
-- theirs, and have no boards with it.
ALTER DOMAIN fold DROP CONSTRAINT fold_check;
ALTER DOMAIN fold ADD CONSTRAINT fold_check CHECK (VALUE BETWEEN 0 AND 5);

ALTER TABLE boards DROP CONSTRAINT boards_scoring_check;
ALTER TABLE boards ADD CONSTRAINT boards_scoring_check CHECK (scoring IN ('Best', 'First', 'Latest', 'Sum', 'Count'));

-- What a column is generated from cannot be changed before PostgreSQL 17.
ALTER TABLE boards DROP COLUMN fold;
ALTER TABLE boards ADD COLUMN fold fold NOT NULL GENERATED ALWAYS AS (CASE scoring
    WHEN 'First' THEN 0 WHEN 'Latest' THEN 3 WHEN 'Sum' THEN 4 WHEN 'Count' THEN 5
    ELSE CASE board_order WHEN 'Descending' THEN 1 ELSE 2 END END) STORED;
