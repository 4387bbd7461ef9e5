-- The entries of one shard around a player's or around a position.
--
-- KEYS: entries, state, and of a player the bucket. ARGV: how many entries before and
-- after; then of a player 1 if the board's scoring is ordered, the field, and the
-- player's number as in members; of a position the stored score and the tie as a number.
-- Returns: the head, then the number of entries; the index of the player's entry (-1: no
-- entry), or of the first entry that does not rank before the position; and a list of
-- member and score of each entry of the range.
local entries = KEYS[1]
local result = head(entries, KEYS[2])
local before, after = tonumber(ARGV[1]), tonumber(ARGV[2])
local index, range = -1, {}
if #KEYS == 3 then
  local member = member_of(KEYS[3], ARGV[4], ARGV[5], ARGV[3] == '1')
  index = member and call('ZRANK', entries, member) or -1
  after = after + 1 -- and the entry itself
else
  index = first_from(entries, ARGV[3], tonumber(ARGV[4]), false)
end
if index >= 0 and before + after > 0 then
  range = call('ZRANGE', entries, math.max(index - before, 0), index + after - 1, 'WITHSCORES')
end
result[4], result[5], result[6] = call('ZCARD', entries), index, range
return result
