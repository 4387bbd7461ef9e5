-- The entries of one shard around a player's or around a position.
--
-- KEYS: entries, state, and of a player the bucket. ARGV: how many entries before and
-- after; the number of columns; o, c or d where ranks are ordinal, competition or dense;
-- then of a player 1 if the board's scoring is ordered, the field, and the
-- player's number as in members; of a position the stored score and what members there
-- begin with.
-- Returns: the head, then the number of entries; the index of the player's entry (-1: no
-- entry), or of the first entry that does not rank before the position; a list of
-- member and score of each entry of the range; and how many entries are better than the
-- first of it, and how many of what they have is.
local entries, state = KEYS[1], KEYS[2]
local result = head(entries, state)
local before, after = tonumber(ARGV[1]), tonumber(ARGV[2])
local columns = tonumber(ARGV[3])
local index, range = -1, {}
if #KEYS == 3 then
  local member = member_of(KEYS[3], ARGV[6], ARGV[7], ARGV[5] == '1', columns)
  index = member and call('ZRANK', entries, member) or -1
  after = after + 1 -- and the entry itself
else
  index = first_from(entries, ARGV[5], ARGV[6], false)
end
local last = index + after - 1
if index >= 0 and last >= 0 and before + after > 0 then -- -1 is the last of all
  range = call('ZRANGE', entries, math.max(index - before, 0), last, 'WITHSCORES')
end
result[4], result[5], result[6], result[7], result[8] = call('ZCARD', entries), index, range, 0, 0
if #range > 0 then
  result[7], result[8] = standing_of(entries, ARGV[4], range[2], range[1], columns)
end
return result
