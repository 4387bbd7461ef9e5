-- admits: 6
-- When the scores of entries were reached: the time of the event in the row.

-- Who wants a standing queues behind this while it waits for a reader, such as a rebuild: not
-- for longer than this. It is then tried again.
SET LOCAL lock_timeout = '1s';

-- Null, and nulls in it: not known.
ALTER TABLE result_ranks ADD COLUMN reached_at timestamptz[];
ALTER TABLE result_ranks ALTER COLUMN reached_at SET STORAGE EXTERNAL;

-- Null: not known, as the row is from before. Servers of the version before change the event
-- and leave the time. They write their transaction into xid, which nothing reads any more: so
-- the time is that of the event where xid is 0.
ALTER TABLE standings ADD COLUMN reached_at timestamptz;
