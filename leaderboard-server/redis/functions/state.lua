-- What a shard says of itself.
--
-- KEYS: entries, state, applied transactions.
-- Returns: identity, watermark (false: none), 1 if the entries are as many as the
-- state says, and the transactions.
local is = call('HMGET', KEYS[2], 'id', 'w', 'c', 'd')
local whole = call('ZCARD', KEYS[1]) == tonumber(is[3] or 0)
  and (not is[4] or call('ZCARD', distinct_key(KEYS[2])) == tonumber(is[4]))
return { is[1], is[2], whole and 1 or 0, call('GET', KEYS[3]) }
