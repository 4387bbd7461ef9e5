-- Appends a batch of submissions to the log. One row comes back about the
-- transaction (kind 'ledger', with its number in the log as event, the version of the
-- boards as ordinal and its time, in microseconds since 1970, as player), and one about
-- each submission.
--
-- What is in comments that begin with + is run where a board of the batch, or global, has segments: an event
-- says in which of them it counts, and each row of an event has those.
--
-- $1 player ids, $2 token versions (null: any), $3 board names, $4 scores, $5 idempotency keys
-- (null: none), $6 fingerprints, $7 whether the submission is refused whatever is
-- found; arrays of one length. $11 further columns, as literals of arrays (null: none); all null
-- where no submission has any. $8 how long keys are kept, $9 lock_timeout ('': nothing is waited for), $10 the
-- season of global.
--
-- Two batches at once wait for each other only where they have a key in common. Keys
-- are stored in the order of their primary key, so that they do not deadlock.
WITH arguments AS MATERIALIZED (
    -- So that plans do not depend on how many there are, and one plan is made for all.
    SELECT $1::uuid[] AS ids, $2::int[] AS versions, $3::text[] AS boards, $4::bigint[] AS scores, $5::uuid[] AS keys,
        $6::uuid[] AS fingerprints, $7::boolean[] AS refusals, $11::text[] AS columns
), ledger AS MATERIALIZED (
    -- Whoever holds a key must let go of it soon: the batch is then split.
    SELECT identity, history | pg_current_xact_id()::text::bigint AS xid, version, CASE WHEN $9::text <> '' THEN set_config('lock_timeout', $9::text, true) END,
        -- A season is closed when every transaction has ended that had a number 2 s after
        -- its end: none may come by its number later than that.
        CASE WHEN clock_timestamp() > now() + interval '2 seconds' THEN repeat_transaction() END
    FROM ledger_here(), boards_version
), input AS MATERIALIZED (
    SELECT i.ordinal, i.score, i.columns, i.key, i.fingerprint, p.number AS player, b.number AS board, b.counts_toward_global AS global, /*+ counted.segments, */
        CASE
            WHEN p.number IS NULL OR p.token_version <> i.token_version THEN 'unauthenticated'
            WHEN p.state <> 'active' THEN 'forbidden'
            WHEN b.number IS NULL OR NOT b.active THEN 'no-board'
            WHEN i.refused THEN 'refused'
            WHEN b.fold >= 3 THEN boards_changed() -- its standings would not be made
        END AS verdict
    FROM arguments CROSS JOIN unnest(ids, versions, boards, scores, keys, fingerprints, refusals, columns)
        WITH ORDINALITY AS i (id, token_version, board, score, key, fingerprint, refused, columns, ordinal)
    LEFT JOIN players p ON p.id = i.id
    LEFT JOIN boards b ON b.name = i.board
    /*+ LEFT JOIN LATERAL (
        SELECT array_agg(CASE WHEN s.board = b.number THEN a.value ELSE -a.value END ORDER BY s.board, s.place) AS segments
        FROM board_segments s JOIN player_attributes a ON a.player = p.number AND a.attribute = s.attribute
        WHERE (s.board = b.number OR s.board = 1 AND b.counts_toward_global) AND s.active AND s.counts_from <= now()
    ) counted ON true */
), numbered AS MATERIALIZED (
    -- Before keys are stored, which name the event. The number of what turns out to
    -- be a repetition is never used.
    SELECT *, nextval('event_ids') AS event
    FROM (SELECT * FROM input WHERE verdict IS NULL ORDER BY ordinal) i
), keys AS (
    INSERT INTO idempotency_keys (player, key, fingerprint, event, expires_at)
    SELECT player, key, fingerprint, event, now() + $8::interval
    FROM numbered WHERE key IS NOT NULL
    ORDER BY player, key
    ON CONFLICT (player, key) DO NOTHING
    RETURNING event
), appended AS (
    INSERT INTO score_events (id, player, score, board, global_season, xid, columns/*+, segments */)
    SELECT event, player, score, board, CASE WHEN global THEN $10::int END, (SELECT xid FROM ledger), columns::bigint[]/*+, segments */
    FROM numbered
    WHERE key IS NULL OR event IN (SELECT event FROM keys)
)
SELECT 'ledger' AS kind, (SELECT version FROM ledger) AS ordinal, (SELECT xid FROM ledger) AS event,
    (extract(epoch FROM now()) * 1000000)::bigint AS player, NULL::int AS board, NULL::boolean AS global,
    (SELECT identity FROM ledger) AS verdict/*+, NULL::int[] AS segments */
UNION ALL
SELECT 'stored', ordinal, event, player, board, global,
    CASE WHEN key IS NOT NULL AND event NOT IN (SELECT event FROM keys) THEN 'duplicate' END/*+, segments */
FROM numbered
UNION ALL
SELECT 'refused', ordinal, NULL, player, board, NULL, verdict/*+, NULL */ FROM input WHERE verdict IS NOT NULL
