-- A range of one shard's entries.
--
-- KEYS: entries, state. ARGV: first and last index, the number of columns, and o, c or d
-- where ranks are ordinal, competition or dense.
-- Returns: the head, then the number of entries, a list of member and score of
-- each entry of the range, and how many entries are better than the first of it, and how
-- many of what they have is.
local entries, state = KEYS[1], KEYS[2]
local result = head(entries, state)
local range = call('ZRANGE', entries, ARGV[1], ARGV[2], 'WITHSCORES')
result[4], result[5], result[6], result[7] = call('ZCARD', entries), range, 0, 0
if #range > 0 then
  result[6], result[7] = standing_of(entries, ARGV[4], range[2], range[1], tonumber(ARGV[3]))
end
return result
