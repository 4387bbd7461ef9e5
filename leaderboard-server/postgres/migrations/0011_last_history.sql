-- admits: 6
-- The end of the last of all histories is no bigint: one less, which no transaction reaches.
DO $$ BEGIN
    EXECUTE replace(pg_get_functiondef('apply_retention(interval)'::regprocedure), '(1::bigint << 48)', '((1::bigint << 48) - 1)');
END $$;
