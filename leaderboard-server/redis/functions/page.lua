-- A range of one shard's entries.
--
-- KEYS: entries, state. ARGV: first and last index.
-- Returns: the head, then the number of entries, and a list of member and score of
-- each entry of the range.
local result = head(KEYS[1], KEYS[2])
result[4] = call('ZCARD', KEYS[1])
result[5] = call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')
return result
