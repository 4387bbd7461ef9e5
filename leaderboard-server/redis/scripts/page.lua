-- A range of one shard's entries.
--
-- KEYS: entries, state. ARGV: first and last index.
-- Returns: identity, watermark (false: none), generation, number of entries, and
-- a list of member and score of each entry of the range.
local is = redis.call('HMGET', KEYS[2], 'id', 'w', 'g')
return { is[1], is[2], is[3], redis.call('ZCARD', KEYS[1]), redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES') }
