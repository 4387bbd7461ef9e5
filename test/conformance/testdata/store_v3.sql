-- Stores a batch of submissions: decides idempotency, appends the events, folds
-- them into the standings of their boards and of global. Three kinds of rows come
-- back: one about the transaction (ordinal 0), one per submission (its ordinal),
-- one per standing that changed (ordinal -1).
--
-- $1 player ids, $2 token versions, $3 board names, $4 scores, $5 idempotency
-- keys (null: none), $6 fingerprints; arrays of one length. $7: how long keys
-- are kept. $8: lock_timeout.
--
-- Right under READ COMMITTED with any number of these at once: ON CONFLICT DO
-- UPDATE decides on the latest version of a standing, and each fold gives the
-- same whichever transaction comes first: the best score and its lowest event,
-- the highest event, the sum and its highest event. Keys, then standings, are
-- locked in the order of their primary keys, so that two batches do not
-- deadlock.
WITH settings AS MATERIALIZED (
    -- A row that somebody holds locked must fail soon: the batch is then split.
    SELECT set_config('lock_timeout', $8::text, true) AS lock_timeout
), open AS MATERIALIZED (
    SELECT b.number, b.name, b.fold, b.active, s.number AS season,
        CASE b.board_order WHEN 'Descending' THEN 1 ELSE -1 END AS sign,
        CASE WHEN b.counts_toward_global THEN g.number END AS global_season
    FROM boards b
    LEFT JOIN seasons s ON s.board = b.number AND s.opens_at <= now() AND (s.closes_at IS NULL OR s.closes_at > now())
    LEFT JOIN seasons g ON g.board = 1 AND g.opens_at <= now() AND (g.closes_at IS NULL OR g.closes_at > now())
), input AS MATERIALIZED (
    SELECT i.ordinal, i.score, i.key, i.fingerprint, p.number AS player,
        b.number AS board, b.season, b.global_season, b.fold, b.sign,
        CASE
            WHEN p.number IS NULL OR p.token_version <> i.token_version THEN 'unauthenticated'
            WHEN p.state <> 'active' THEN 'forbidden'
            WHEN b.number IS NULL OR NOT b.active THEN 'no-board'
            WHEN b.season IS NULL THEN 'no-season'
        END AS refused
    FROM settings, unnest($1::uuid[], $2::int[], $3::text[], $4::bigint[], $5::uuid[], $6::uuid[])
        WITH ORDINALITY AS i (id, token_version, board, score, key, fingerprint, ordinal)
    LEFT JOIN players p ON p.id = i.id
    LEFT JOIN open b ON b.name = i.board
), sums AS MATERIALIZED (
    -- Sums that would leave the bounds. Where the player has several submissions
    -- in the batch, each is judged alone later.
    SELECT t.ordinal, CASE
        WHEN t.submissions > 1 THEN CASE WHEN abs(coalesce(s.score, 0)) + t.magnitude > 9007199254740991 THEN 'alone' END
        WHEN abs(coalesce(s.score, 0) + t.score) > 9007199254740991 THEN 'out-of-range'
        END AS refused
    FROM (
        SELECT ordinal, board, season, player, score,
            count(*) OVER p AS submissions, sum(abs(score)) OVER p AS magnitude
        FROM input WHERE fold = 4 AND refused IS NULL
        WINDOW p AS (PARTITION BY board, player)
    ) t
    LEFT JOIN standings s ON s.board = t.board AND s.season = t.season AND s.player = t.player AND NOT s.removed
), willing AS MATERIALIZED (
    -- Numbered here, in the batch's order and before keys are stored, which name
    -- the event. A repetition's number is never used.
    SELECT *, nextval('event_ids') AS event
    FROM (
        SELECT *, CASE
            WHEN refused IS NOT NULL THEN refused
            WHEN ordinal IN (SELECT ordinal FROM sums WHERE refused = 'alone') THEN 'alone'
            WHEN ordinal IN (SELECT ordinal FROM sums WHERE refused = 'out-of-range') THEN 'out-of-range'
            END AS verdict
        FROM input ORDER BY ordinal
    ) i
), keys AS (
    -- Waits for a transaction that is storing the same key now.
    INSERT INTO idempotency_keys (player, key, fingerprint, event, expires_at)
    SELECT player, key, fingerprint, event, now() + $7::interval
    FROM willing WHERE verdict IS NULL AND key IS NOT NULL
    ORDER BY player, key
    ON CONFLICT (player, key) DO NOTHING
    RETURNING event
), accepted AS MATERIALIZED (
    SELECT ordinal, event, player, score, board, season, global_season, fold, sign, sign * score AS goodness
    FROM willing
    WHERE verdict IS NULL AND (key IS NULL OR event IN (SELECT event FROM keys))
), folded AS (
    SELECT board, season, player, fold, max(best) AS best, sum(score) AS total
    FROM (
        SELECT board, season, player, fold, score,
            ARRAY[CASE WHEN fold >= 3 THEN event ELSE goodness END, -event, score, board] AS best
        FROM accepted
        UNION ALL
        SELECT 1, global_season, player, 1, score, ARRAY[score, -event, score, board]
        FROM accepted WHERE global_season IS NOT NULL AND board <> 1
    ) t
    GROUP BY board, season, player, fold
), changed AS (
    INSERT INTO standings AS s (board, season, player, score, event, previous_score, origin, fold)
    SELECT board, season, player, CASE fold WHEN 4 THEN total ELSE best[3] END, -best[2], 0, best[4], fold
    FROM folded
    ORDER BY board, season, player
    ON CONFLICT (board, season, player) DO UPDATE SET
        score = CASE WHEN excluded.fold = 4 AND NOT s.removed THEN s.score + excluded.score ELSE excluded.score END,
        event = CASE WHEN excluded.fold = 4 AND NOT s.removed THEN greatest(s.event, excluded.event) ELSE excluded.event END,
        version = s.version + 1,
        previous_score = s.score,
        origin = excluded.origin,
        entered = s.removed,
        removed = false,
        xid = pg_current_xact_id()
    WHERE CASE
        -- An event of this batch may be older than the removal: get new numbers.
        WHEN s.counts_after >= (SELECT min(event) FROM accepted) THEN repeat_transaction()
        WHEN s.removed THEN true
        WHEN excluded.fold = 1 THEN excluded.score > s.score OR excluded.score = s.score AND excluded.event < s.event
        WHEN excluded.fold = 2 THEN excluded.score < s.score OR excluded.score = s.score AND excluded.event < s.event
        WHEN excluded.fold = 3 THEN excluded.event > s.event
        ELSE true
    END
    RETURNING board, season, player, score, event, version, origin, previous_score, entered
), outcome AS MATERIALIZED (
    -- Whether each submission made the standing better, as if the batch had come
    -- one by one. A changed standing (event -1) sorts before its submissions.
    SELECT ordinal, event, player, score, board, season, global_season,
        changed AND CASE fold
            WHEN 4 THEN goodness > 0 OR previous IS NULL AND last_before IS NULL
            WHEN 3 THEN (goodness > coalesce(last_before, sign * previous)) IS NOT FALSE
            ELSE (goodness > greatest(best_before, sign * previous)) IS NOT FALSE
        END AS improved
    FROM (
        SELECT ordinal, event, player, score, board, season, global_season, fold, sign, goodness,
            first_value(event) OVER w = -1 AS changed,
            first_value(previous) OVER w AS previous,
            lag(goodness) OVER w AS last_before,
            max(goodness) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS best_before
        FROM (
            SELECT ordinal, event, player, score, board, season, global_season, fold, sign, goodness, NULL::bigint AS previous
            FROM accepted
            UNION ALL
            SELECT -1, -1, player, 0, board, 0, 0, 0, 0, NULL, CASE WHEN NOT entered THEN previous_score END
            FROM changed
            UNION ALL -- submissions to other boards that count before those to global itself
            SELECT -1, event, player, 0, 1, 0, 0, 0, 0, score, NULL
            FROM accepted
            WHERE global_season IS NOT NULL AND board <> 1
                AND (player IN (SELECT player FROM accepted WHERE board = 1)) IS TRUE -- kept from becoming a join
        ) t
        WINDOW w AS (PARTITION BY board, player ORDER BY event)
    ) t
    WHERE ordinal > 0
), events AS (
    INSERT INTO score_events (id, player, score, board, season, global_season, improved)
    SELECT event, player, score, board, season, global_season, improved FROM outcome
)
SELECT 0::bigint AS ordinal, ledger_identity() AS verdict, pg_current_xact_id()::text::bigint AS event, NULL::bigint AS player,
    NULL::int AS board, NULL::int AS season, NULL::boolean AS improved, NULL::bigint AS score, NULL::bigint AS version, NULL::int AS origin
UNION ALL
SELECT ordinal, NULL, event, player, board, season, improved, score, NULL, NULL FROM outcome
UNION ALL
SELECT ordinal, coalesce(verdict, 'duplicate'), NULL, player, board, season, NULL, NULL, NULL, NULL FROM willing
WHERE verdict IS NOT NULL OR key IS NOT NULL AND event NOT IN (SELECT event FROM keys)
UNION ALL
SELECT -1, NULL, event, player, board, season, NULL, score, version, origin FROM changed
