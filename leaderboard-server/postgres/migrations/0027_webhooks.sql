-- admits: 6
-- Messages to webhooks, written by the transaction that makes what they tell of true. Servers
-- of the version before write none, and leave these alone.
CREATE TABLE webhook_messages (
    -- The order in which a webhook gets those of a board: who writes one has locked the row of
    -- its board.
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What receivers know it by, however often it is sent.
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    webhook      text COLLATE "C" NOT NULL,
    board        int NOT NULL REFERENCES boards,
    event        text COLLATE "C" NOT NULL,
    -- The body, byte by byte: it is what the signature is of.
    payload      text NOT NULL,
    -- Since when it is tried: when it was written, or sent again by hand.
    since        timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts     int NOT NULL DEFAULT 0,
    -- When the next attempt is due; while one is under way, when it counts as lost.
    due_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    failed_at    timestamptz,
    -- Why the last attempt failed.
    failure      text,
    delivered_at timestamptz,
    -- When it was given up.
    dead_at      timestamptz,
    CHECK (delivered_at IS NULL OR dead_at IS NULL)
);
CREATE INDEX webhook_messages_waiting ON webhook_messages (webhook, board, number) WHERE delivered_at IS NULL AND dead_at IS NULL;
CREATE INDEX webhook_messages_dead ON webhook_messages (webhook, dead_at) WHERE dead_at IS NOT NULL;

-- Sends the dead letters of a webhook again that died before a time, and returns how many.
CREATE FUNCTION resend_webhook_messages(of_webhook text, before timestamptz) RETURNS bigint LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH again AS (
        UPDATE webhook_messages SET dead_at = NULL, failure = NULL, since = clock_timestamp(), due_at = clock_timestamp()
        WHERE webhook = of_webhook AND dead_at < before RETURNING 1)
    SELECT count(*) FROM again
$$;
