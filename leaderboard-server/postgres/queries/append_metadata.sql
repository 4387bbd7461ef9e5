, given AS MATERIALIZED (
    -- So that one plan is made for all, as of the other arguments.
    SELECT $12::bigint[] AS ordinals, $13::text[] AS metadata
), described AS (
    INSERT INTO event_metadata (event, metadata)
    SELECT n.event, m.metadata
    FROM given g CROSS JOIN unnest(g.ordinals, g.metadata) AS m (ordinal, metadata) JOIN numbered n ON n.ordinal = m.ordinal
    WHERE n.key IS NULL OR n.event IN (SELECT event FROM keys)
)
