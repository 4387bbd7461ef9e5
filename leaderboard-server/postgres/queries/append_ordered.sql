-- Appends a batch that has submissions to boards whose scoring is ordered: their
-- standings are made here, under the lock of their rows. Arguments and rows are those
-- of append.sql; of such submissions there is a row for each season that is open, with the
-- standing. A batch has one submission of a player to such a board at most. With segments,
-- where what is in comments that begin with + is run and what is in those with - is not,
-- there is a row for each segment of these seasons, too.
--
-- What is in comments that begin with ^ is run where a board of the batch bounds improvements.
-- Such a board has the standing of all time of each of its players made here, too, if its
-- scoring is not ordered: a join of its events, as catch-up makes it. It comes with no row.
--
-- What is in comments that begin with ~ is run where a board of the batch limits how often a
-- player may submit. What the player has submitted is in submission_counts: it is locked, in the
-- order of the primary key, judged by, and counted on with what is appended. Rows have the counts
-- from before.
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
    WHERE /*^ ( */ b.fold >= 3 /*^ OR b.max_improvement > 0) */ AND b.name = ANY ((SELECT boards FROM arguments)::text[])
)/*^ , bounded AS MATERIALIZED (
    SELECT array_agg(b.number) AS recent FROM boards b, ledger_state l
    WHERE b.max_improvement > 0 AND b.fold IN (1, 2) AND b.name = ANY ((SELECT boards FROM arguments)::text[])
        AND (b.bounded_since > now() - interval '1 minute' OR b.bounded_xid >= l.checkpoint AND b.bounded_xid >> 48 = l.checkpoint >> 48)
), unsaved AS MATERIALIZED (
    -- What is not in the standings yet of boards that have bounded improvements for a short time
    -- only. A minute is more than servers take to know of that.
    SELECT e.board, e.player, max(e.score) AS highest, min(e.score) AS lowest
    FROM score_events e
    WHERE (SELECT recent FROM bounded) IS NOT NULL AND e.board = ANY ((SELECT recent FROM bounded)::int[])
        AND e.xid >= (SELECT checkpoint FROM ledger_state)
        -- As countsSQL has it.
        AND NOT EXISTS (SELECT FROM voids v WHERE v.event = e.id)
        AND NOT EXISTS (SELECT FROM removals m WHERE m.player = e.player AND m.board = e.board AND m.through >= e.id)
    GROUP BY e.board, e.player
) */, input AS MATERIALIZED (
    SELECT i.ordinal, i.score, i.columns, i.key, i.fingerprint, p.number AS player, b.number AS board, b.counts_toward_global AS global, /*+ counted.segments, */
        /*^ CASE WHEN b.fold BETWEEN 1 AND 3 AND all_time.number IS NOT NULL THEN nullif(b.max_improvement, 0) END AS most, all_time.number AS all_time,
        -- What would be held back of a player is taken of a server.
        i.token_version IS NULL AND coalesce(b.review ? 'improvementAbove', false) AS vouched, */
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
    /*^ LEFT JOIN seasons all_time ON all_time.board = b.number AND all_time.opens_at <= now() AND (all_time.closes_at IS NULL OR all_time.closes_at > now()) */
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
) *//*~ , limits AS MATERIALIZED (
    SELECT number AS board, (limits ->> 'perMinute')::int AS per_minute, (limits ->> 'cooldownSeconds')::int * interval '1 second' AS cooldown
    FROM boards WHERE limits IS NOT NULL AND name = ANY ((SELECT boards FROM arguments)::text[])
), attempts AS MATERIALIZED (
    -- Of each window in which attempts are limited the season that is open, null if none is; that
    -- of all time is 0.
    SELECT b.number AS board, a.name, a.most, a.place, CASE a.name WHEN 'all' THEN 0 ELSE s.ordinal END AS season
    FROM limits l JOIN boards b ON b.number = l.board
    CROSS JOIN LATERAL ROWS FROM (jsonb_to_recordset(b.limits -> 'attempts') AS ("window" text, max int)) WITH ORDINALITY AS a (name, most, place)
    LEFT JOIN window_seasons s ON s.board = b.number AND s.name = a.name AND s.closed_at IS NULL AND s.opens_at <= now() AND s.closes_at > now()
) */, locked AS MATERIALIZED (
    SELECT i.ordinal, s.score /*^ , s.removed, i.most IS NOT NULL AND s.season = i.all_time AS bounds */
    FROM input i JOIN /*- open o ON o.board = i.board -*/ /*+ targets o ON o.ordinal = i.ordinal */ JOIN standings s ON s.board = i.board AND s.season = o.season AND s.player = i.player
    WHERE i.verdict IS NULL AND /*^ ( */ i.fold >= 3 /*^ OR i.most IS NOT NULL AND s.season = i.all_time) */
    ORDER BY s.board, s.season, s.player
    FOR UPDATE OF s
), judged AS MATERIALIZED (
    /*~ WITH input AS MATERIALIZED (
        -- With what the limits leave: those that came in the last minute, in the order of their
        -- times, are the last ones of recent. Counts are looked up one by one, however small
        -- their table was when the statement was planned; nothing here is joined to a second
        -- list of the submissions.
        SELECT i.*, coalesce(c.submissions, 0) AS submissions, c.last_at, c.recent, m.minute, a.used, a.attempts,
            c.recent[cardinality(c.recent) + 1 - least(i.per_minute, m.minute)] + interval '1 minute' AS frees_at,
            (m.minute >= i.per_minute OR c.last_at > now() - i.cooldown OR a.used_up) IS TRUE AS exceeded
        FROM (
            SELECT i.*, i.verdict IS NULL AND l.board IS NOT NULL AS limited, l.per_minute, l.cooldown
            FROM input i LEFT JOIN limits l ON l.board = i.board
            ORDER BY i.board, i.player
        ) i
        LEFT JOIN LATERAL (SELECT * FROM submission_counts c WHERE i.limited AND c.board = i.board AND c.player = i.player FOR UPDATE) c ON true
        CROSS JOIN LATERAL (SELECT CASE WHEN i.limited THEN coalesce(cardinality(c.recent) - width_bucket(now() - interval '1 minute', c.recent), 0) END) AS m (minute)
        LEFT JOIN LATERAL (
            SELECT array_agg(CASE WHEN a.season IS NULL THEN -1 ELSE u.used END ORDER BY a.place) AS used,
                bool_or(a.season IS NOT NULL AND u.used >= a.most) AS used_up,
                jsonb_object_agg(a.name, jsonb_build_array(a.season, u.used + 1)) FILTER (WHERE a.season IS NOT NULL) AS attempts
            FROM attempts a
            CROSS JOIN LATERAL (SELECT CASE WHEN (c.attempts -> a.name ->> 0)::int = a.season THEN (c.attempts -> a.name ->> 1)::int ELSE 0 END) AS u (used)
            WHERE i.limited AND a.board = i.board
        ) a ON true
    ) */
    SELECT i.ordinal, i.score, i.columns, i.key, i.fingerprint, i.player, i.board, i.global, i.sign, i.fold, i.defined, /*+ i.segments, */
        /*^ i.most, i.all_time, l.found, */ /*~ i.submissions, i.last_at, i.recent, i.per_minute, i.minute, i.frees_at, i.used, i.attempts, */
        CASE
            WHEN i.verdict IS NOT NULL THEN i.verdict
            /*~ WHEN i.exceeded THEN 'limit-exceeded' */
            WHEN i.fold = 4 AND (l.highest + i.score > 9007199254740991 OR l.lowest + i.score < -9007199254740991) THEN 'out-of-range'
            /*^ WHEN NOT i.vouched AND i.sign * i.score - greatest(i.sign * l.held, CASE WHEN i.fold < 3 THEN CASE i.sign WHEN 1 THEN u.highest ELSE -u.lowest END END) > i.most
                THEN 'improvement-too-large' */
        END AS verdict
    FROM input i LEFT JOIN (SELECT ordinal, min(score) AS lowest, max(score) AS highest /*^ , bool_or(bounds) AS found, max(score) FILTER (WHERE bounds AND NOT removed) AS held */ FROM locked GROUP BY ordinal) l ON l.ordinal = i.ordinal
    /*^ LEFT JOIN unsaved u ON u.board = i.board AND u.player = i.player */
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
)/*~ , counted AS (
    -- Counts go by at, so what came before another one and is counted after it has its place. The
    -- last ten seconds of what is kept of a minute are for those that wait for a lock.
    INSERT INTO submission_counts AS c (board, player, submissions, last_at, recent, attempts)
    SELECT board, player, submissions + 1, greatest(last_at, now()),
        CASE WHEN per_minute IS NULL THEN '{}' ELSE coalesce(recent[width_bucket(now() - interval '70 seconds', recent) + 1:width_bucket(now(), recent)], '{}')
            || now() || coalesce(recent[width_bucket(now(), recent) + 1:], '{}') END,
        coalesce(attempts, '{}')
    FROM accepted WHERE minute IS NOT NULL
    ORDER BY board, player
    ON CONFLICT (board, player) DO UPDATE SET submissions = excluded.submissions, last_at = excluded.last_at, recent = excluded.recent, attempts = excluded.attempts
    -- Two first submissions at once find no row to lock.
    WHERE CASE WHEN excluded.submissions = c.submissions + 1 THEN true ELSE repeat_transaction() END
) */, folded AS (
    INSERT INTO standings AS s (board, season, player, score, columns, event, last_event, origin, fold, reached_at, xid /*^ , previous_score */)
    SELECT a.board, o.season, a.player, CASE a.fold WHEN 5 THEN 1 ELSE a.score END,
        CASE WHEN a.defined <> '[]' THEN ranked_columns(a.columns::bigint[], a.defined) END, a.event, a.event, a.board, a.fold, now(), '0'
        /*^ -- 1: there was none to lock, though the improvement is bounded. Nobody reads it of an
        -- entry that is new.
        , CASE WHEN a.most IS NOT NULL AND o.season = a.all_time AND a.found IS NOT TRUE THEN 1 ELSE 0 END */
    FROM accepted a JOIN /*- open o ON o.board = a.board -*/ /*+ targets o ON o.ordinal = a.ordinal */
    /*^ WHERE a.fold >= 3 */
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
    WHERE CASE WHEN greatest(s.last_event, s.event) > excluded.event /*^ OR excluded.previous_score = 1 */ THEN repeat_transaction() ELSE true END
    RETURNING board, season, player, score, columns, event, previous_score, previous_columns, entered
)/*^ , joined AS (
    -- As catch-up joins it, see saveSQL. One that was not there to lock has not bounded the
    -- improvement.
    INSERT INTO standings AS s (board, season, player, score, columns, event, last_event, origin, fold, reached_at, xid, previous_score)
    SELECT board, all_time, player, score, CASE WHEN defined <> '[]' THEN ranked_columns(columns::bigint[], defined) END, event, event, board, fold, now(), '0',
        CASE WHEN found THEN 0 ELSE 1 END
    FROM accepted WHERE most IS NOT NULL AND fold < 3
    ORDER BY board, all_time, player
    ON CONFLICT (board, season, player) DO UPDATE SET score = excluded.score, columns = excluded.columns, event = excluded.event, last_event = excluded.last_event,
        origin = excluded.origin, previous_score = s.score, entered = false, version = s.version + 1, reached_at = excluded.reached_at, removed = false, xid = '0'
    WHERE CASE WHEN excluded.previous_score = 1 THEN repeat_transaction()
        WHEN excluded.event <= s.counts_after THEN false
        WHEN s.removed THEN true
        WHEN s.fold = 2 THEN (excluded.score, coalesce(excluded.columns, '{}'), excluded.event) < (s.score, coalesce(s.columns, '{}'), s.event)
        ELSE (-excluded.score, coalesce(excluded.columns, '{}'), excluded.event) < (-s.score, coalesce(s.columns, '{}'), s.event) END
) */
SELECT 'ledger' AS kind, (SELECT version FROM ledger) AS ordinal, (SELECT xid FROM ledger) AS event,
    (extract(epoch FROM now()) * 1000000)::bigint AS player, NULL::int AS board, NULL::boolean AS global,
    (SELECT identity FROM ledger) AS verdict, NULL::int AS season, NULL::bigint AS score, NULL::bigint AS reached, NULL::boolean AS improved,
    NULL::bigint[] AS columns/*+, NULL::int[] AS segments *//*~ , NULL::int AS minute, NULL::timestamptz AS frees_at, NULL::timestamptz AS last_at, NULL::int[] AS used */
UNION ALL
SELECT 'stored', n.ordinal, n.event, n.player, n.board, n.global,
    CASE WHEN n.key IS NOT NULL AND n.event NOT IN (SELECT event FROM keys) THEN 'duplicate' END,
    f.season, f.score, f.event,
    f.entered OR n.sign * f.score > n.sign * f.previous_score OR f.score = f.previous_score AND f.columns < f.previous_columns,
    f.columns/*+, n.segments *//*~ , n.minute, n.frees_at, n.last_at, n.used */
FROM numbered n LEFT JOIN folded f ON f.board = n.board AND f.player = n.player
UNION ALL
SELECT 'refused', ordinal, NULL, player, board, NULL, verdict, NULL, NULL, NULL, NULL, NULL/*+, NULL *//*~ , minute, frees_at, last_at, used */ FROM judged WHERE verdict IS NOT NULL
