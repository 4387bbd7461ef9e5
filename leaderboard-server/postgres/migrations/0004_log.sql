-- The ledger as a log: a submission is one row of score_events, and standings are a
-- checkpoint of its fold. Servers of the version before may go on beside those of
-- this one: what they write is part of the log (by the defaults below) and they see
-- what is folded (version and xid of standings go on). Their columns go when no such
-- server can be left.

-- The history that transaction numbers belong to: 15 bits of the cluster and the
-- table, above the 48 bits of a transaction. Rows that were restored from a dump have
-- the numbers of another history, and are in no range of this one's.
CREATE FUNCTION log_history() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (hashtextextended((SELECT system_identifier FROM pg_control_system()) || '-' || 'standings'::regclass::oid, 0) & 32767) << 48;
END $$;

-- The ledger's identity and history, as ledger_identity() and log_history() say. They
-- read a file, and cannot change while a session lives: a failover, a restore and a
-- restart end it, and another table has another oid. So a session remembers them.
CREATE FUNCTION ledger_here(OUT identity text, OUT history bigint) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    setting text := 'leaderboard.ledger_' || 'standings'::regclass::oid;
    known text := current_setting(setting, true);
BEGIN
    IF known IS NULL OR known = '' THEN
        known := set_config(setting, ledger_identity() || ' ' || log_history(), false);
    END IF;
    identity := split_part(known, ' ', 1);
    history := split_part(known, ' ', 2);
END $$;

-- This transaction in the log.
CREATE FUNCTION log_xid() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT history FROM ledger_here()) | pg_current_xact_id()::text::bigint;
END $$;

-- The transaction that appended the event, as log_xid(); null for events from before
-- there was a log, which standings contain. Stored as bigint: xid8 has no BRIN
-- operators.
ALTER TABLE score_events ADD COLUMN xid bigint;
ALTER TABLE score_events ALTER COLUMN xid SET DEFAULT log_xid();

-- An event belongs to every season that is open at its time, and whether it improved
-- anything is for the fold to say.
ALTER TABLE score_events ALTER COLUMN season DROP NOT NULL;
ALTER TABLE score_events ALTER COLUMN improved DROP NOT NULL;

-- The log is read by ranges of transactions, which come in their order, nearly, and of
-- times. One index of two columns costs an insert half of what two cost.
CREATE INDEX score_events_log ON score_events USING brin (at, xid) WITH (pages_per_range = 32, autosummarize = on);
DROP INDEX score_events_at;

-- The last event that counted, for the scorings that depend on the order of a
-- player's events. Servers of the version before do not set it: the greater of it and
-- event is the last one.
ALTER TABLE standings ADD COLUMN last_event bigint NOT NULL DEFAULT 0;
ALTER TABLE standings ALTER COLUMN previous_score SET DEFAULT 0;

-- Nothing is found by xid any more, so that a change of a standing is heap-only.
DROP INDEX standings_xid;

-- Every event whose transaction is below the checkpoint is in the standings.
ALTER TABLE ledger_state ADD COLUMN checkpoint bigint;
-- And from here on every event is in the log: retention moves it.
ALTER TABLE ledger_state ADD COLUMN log_start bigint;
UPDATE ledger_state SET checkpoint = log_history(), log_start = log_history();
ALTER TABLE ledger_state ALTER COLUMN checkpoint SET NOT NULL, ALTER COLUMN log_start SET NOT NULL;
