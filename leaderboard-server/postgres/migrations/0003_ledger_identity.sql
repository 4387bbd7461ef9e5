-- The same as before, in a language whose plans outlive the statement: as SQL the
-- body was parsed and planned anew for every batch, a tenth of a small one's time.
CREATE OR REPLACE FUNCTION ledger_identity() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT system_identifier FROM pg_control_system()) || '-' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
        || '-' || 'standings'::regclass::oid;
END $$;
