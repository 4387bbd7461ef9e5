-- A range of one shard's entries.
--
-- KEYS: entries, state. ARGV: first and last index.
-- Returns: identity, watermark (false: none), number of entries, then member and
-- score of each entry of the range.
local is = redis.call('HMGET', KEYS[2], 'id', 'w')
return { is[1], is[2], redis.call('ZCARD', KEYS[1]), redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES') }
