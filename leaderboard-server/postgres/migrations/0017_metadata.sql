-- admits: 6
-- Metadata: JSON that is stored with a submission. Servers of the version before know nothing
-- of it: they take none, and leave what is there.

-- What a board takes: the longest, 0 none, and a JSON Schema that it is held to.
ALTER TABLE boards ADD COLUMN max_metadata int NOT NULL DEFAULT 0 CHECK (max_metadata BETWEEN 0 AND 2048),
    ADD COLUMN metadata_schema text NOT NULL DEFAULT '';

-- The metadata of events that have some, as text, so that it comes back as it was. It is found
-- by the number of its event, and outlives the log: see metadata_collection. Events come in the
-- order of their numbers but for those of batches that run at once, so that the index grows at
-- its end.
CREATE TABLE event_metadata (
    event    bigint PRIMARY KEY,
    metadata text NOT NULL
);
-- The longest are compressed, and stay in the row: a page looks up a hundred.
ALTER TABLE event_metadata ALTER COLUMN metadata SET STORAGE MAIN;

-- One row: how far the metadata is collected of events that retention has dropped, and that no
-- entry is of.
CREATE TABLE metadata_collection (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- When the log began as all that was dropped until then was gone through.
    log_begins  timestamptz NOT NULL DEFAULT '-infinity',
    -- Of what was dropped since, events up to this number were gone through.
    position    bigint NOT NULL DEFAULT 0,
    -- Until when a server has it.
    taken_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO metadata_collection DEFAULT VALUES;
