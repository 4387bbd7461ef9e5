-- admits: 6
-- Which programs may work with a schema that is newer than they are. Each migration
-- says it in its first line: the oldest version, by its own last migration, that it
-- leaves working. An operator migrates all games before their Pods are replaced, and
-- may be rolled back, so a program meets schemas that are newer.
ALTER TABLE schema_migrations ADD COLUMN admits int;
