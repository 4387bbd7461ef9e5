-- Appends a batch that has submissions to boards whose scoring is ordered: their
-- standings are made here, under the lock of their rows. Arguments and rows are those
-- of append.sql; of such submissions there is a row for each season that is open, with the
-- standing. A batch has one submission of a player to such a board at most. With segments,
-- where what is in comments that begin with + is run and what is in those with - is not,
-- there is a row for each segment of these seasons, too.
--
-- Standings are locked, then events are numbered: so the order of a player's events
-- is the order in which they fold. Standings, then keys, are locked in the order of
-- their primary keys.
WITH arguments AS MATERIALIZED (
    -- So that plans do not depend on how many there are, and one plan is made for all.
    SELECT $1::uuid[] AS ids, $2::int[] AS versions, $3::text[] AS boards, $4::bigint[] AS scores, $5::uuid[] AS keys,
        $6::uuid[] AS fingerprints, $7::boolean[] AS refusals, $11::text[] AS columns
), ledger AS MATERIALIZED (
    -- Whoever holds a row must let go of it soon: the batch is then split.
    SELECT identity, history | pg_current_xact_id()::text::bigint AS xid, version, CASE WHEN $9::text <> '' THEN set_config('lock_timeout', $9::text, true) END,
        CASE WHEN clock_timestamp() > now() + interval '2 seconds' THEN repeat_transaction() END
    FROM ledger_here(), boards_version
), open AS MATERIALIZED (
    -- The seasons whose standings are made here.
    SELECT b.number AS board, s.number AS season
    FROM boards b
    CROSS JOIN LATERAL (
        SELECT number FROM seasons WHERE board = b.number AND opens_at <= now() AND (closes_at IS NULL OR closes_at > now())
        UNION ALL
        SELECT number FROM window_seasons WHERE board = b.number AND closed_at IS NULL AND opens_at <= now() AND closes_at > now()
    ) s
    WHERE b.fold >= 3 AND b.name = ANY ((SELECT boards FROM arguments)::text[])
), input AS MATERIALIZED (
    SELECT i.ordinal, i.score, i.columns, i.key, i.fingerprint, p.number AS player, b.number AS board, b.counts_toward_global AS global, /*+ counted.segments, */
        CASE b.board_order WHEN 'Descending' THEN 1 ELSE -1 END AS sign, b.fold, b.columns AS defined,
        CASE
            WHEN p.number IS NULL OR p.token_version <> i.token_version THEN 'unauthenticated'
            WHEN p.state <> 'active' THEN 'forbidden'
            WHEN b.number IS NULL OR NOT b.active THEN 'no-board'
            WHEN i.refused THEN 'refused'
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
)/*+ , targets AS MATERIALIZED (
    -- The rankings in which each submission counts.
    SELECT i.ordinal, t.season
    FROM input i JOIN open o ON o.board = i.board
    CROSS JOIN LATERAL (SELECT o.season UNION ALL SELECT segment_season(o.season, v) FROM unnest(i.segments) v WHERE v > 0) t
) */, locked AS MATERIALIZED (
    SELECT i.ordinal, s.score
    FROM input i JOIN /*- open o ON o.board = i.board -*/ /*+ targets o ON o.ordinal = i.ordinal */ JOIN standings s ON s.board = i.board AND s.season = o.season AND s.player = i.player
    WHERE i.verdict IS NULL AND i.fold >= 3
    ORDER BY s.board, s.season, s.player
    FOR UPDATE OF s
), judged AS MATERIALIZED (
    SELECT i.ordinal, i.score, i.columns, i.key, i.fingerprint, i.player, i.board, i.global, i.sign, i.fold, i.defined, /*+ i.segments, */
        CASE
            WHEN i.verdict IS NOT NULL THEN i.verdict
            WHEN i.fold = 4 AND (l.highest + i.score > 9007199254740991 OR l.lowest + i.score < -9007199254740991) THEN 'out-of-range'
        END AS verdict
    FROM input i LEFT JOIN (SELECT ordinal, min(score) AS lowest, max(score) AS highest FROM locked GROUP BY ordinal) l ON l.ordinal = i.ordinal
), numbered AS MATERIALIZED (
    SELECT *, nextval('event_ids') AS event
    FROM (SELECT * FROM judged WHERE verdict IS NULL ORDER BY ordinal) j
), keys AS (
    INSERT INTO idempotency_keys (player, key, fingerprint, event, expires_at)
    SELECT player, key, fingerprint, event, now() + $8::interval
    FROM numbered WHERE key IS NOT NULL
    ORDER BY player, key
    ON CONFLICT (player, key) DO NOTHING
    RETURNING event
), accepted AS MATERIALIZED (
    SELECT * FROM numbered WHERE key IS NULL OR event IN (SELECT event FROM keys)
), appended AS (
    INSERT INTO score_events (id, player, score, board, global_season, xid, columns/*+, segments */)
    SELECT event, player, score, board, CASE WHEN global THEN $10::int END, (SELECT xid FROM ledger), columns::bigint[]/*+, segments */ FROM accepted
), folded AS (
    INSERT INTO standings AS s (board, season, player, score, columns, event, last_event, origin, fold, reached_at, xid)
    SELECT a.board, o.season, a.player, CASE a.fold WHEN 5 THEN 1 ELSE a.score END,
        CASE WHEN a.defined <> '[]' THEN ranked_columns(a.columns::bigint[], a.defined) END, a.event, a.event, a.board, a.fold, now(), '0'
    FROM accepted a JOIN /*- open o ON o.board = a.board -*/ /*+ targets o ON o.ordinal = a.ordinal */
    ORDER BY a.board, o.season, a.player
    ON CONFLICT (board, season, player) DO UPDATE SET
        -- Of a count, excluded has 1.
        score = CASE s.fold WHEN 3 THEN 0 ELSE s.score END + excluded.score,
        event = CASE WHEN CASE s.fold WHEN 3 THEN 0 ELSE s.score END + excluded.score = s.score AND excluded.columns IS NOT DISTINCT FROM s.columns
            THEN s.event ELSE excluded.event END,
        previous_columns = s.columns,
        columns = excluded.columns,
        last_event = excluded.event,
        previous_score = s.score,
        entered = false,
        version = s.version + 1,
        -- Of the event that stays, if a server that knew times wrote it.
        reached_at = CASE
            WHEN CASE s.fold WHEN 3 THEN 0 ELSE s.score END + excluded.score <> s.score OR excluded.columns IS DISTINCT FROM s.columns THEN now()
            WHEN s.xid = '0' THEN s.reached_at END,
        xid = '0'
    -- Two first submissions at once find no row to lock: the events may then be in
    -- the wrong order. Get new numbers.
    WHERE CASE WHEN greatest(s.last_event, s.event) > excluded.event THEN repeat_transaction() ELSE true END
    RETURNING board, season, player, score, columns, event, previous_score, previous_columns, entered
)
SELECT 'ledger' AS kind, (SELECT version FROM ledger) AS ordinal, (SELECT xid FROM ledger) AS event,
    (extract(epoch FROM now()) * 1000000)::bigint AS player, NULL::int AS board, NULL::boolean AS global,
    (SELECT identity FROM ledger) AS verdict, NULL::int AS season, NULL::bigint AS score, NULL::bigint AS reached, NULL::boolean AS improved,
    NULL::bigint[] AS columns/*+, NULL::int[] AS segments */
UNION ALL
SELECT 'stored', n.ordinal, n.event, n.player, n.board, n.global,
    CASE WHEN n.key IS NOT NULL AND n.event NOT IN (SELECT event FROM keys) THEN 'duplicate' END,
    f.season, f.score, f.event,
    f.entered OR n.sign * f.score > n.sign * f.previous_score OR f.score = f.previous_score AND f.columns < f.previous_columns,
    f.columns/*+, n.segments */
FROM numbered n LEFT JOIN folded f ON f.board = n.board AND f.player = n.player
UNION ALL
SELECT 'refused', ordinal, NULL, player, board, NULL, verdict, NULL, NULL, NULL, NULL, NULL/*+, NULL */ FROM judged WHERE verdict IS NOT NULL
