-- The entries of players of one shard.
--
-- KEYS: entries, state, then the bucket of each player. ARGV: 1 if the board's
-- scoring is ordered; the number of columns; o, c or d where ranks are ordinal, competition
-- or dense; then for each player the field, and the player's number as in members.
-- Returns: the head, how many entries there are, then for each player the index (-1: no
-- entry), score, member, how many entries are better, and how many of what they have is.
local entries, state = KEYS[1], KEYS[2]
local result = head(entries, state)
result[4] = call('ZCARD', entries)
local ordered, columns = ARGV[1] == '1', tonumber(ARGV[2])
for i = 3, #KEYS do
  local a = 2 * i - 2
  local index, score, better, distinct = -1, '', 0, 0
  local member = member_of(KEYS[i], ARGV[a], ARGV[a + 1], ordered, columns) or ''
  if member ~= '' then
    index = call('ZRANK', entries, member)
    score = call('ZSCORE', entries, member)
  end
  if index and score and score ~= '' then
    better, distinct = standing_of(entries, ARGV[3], score, member, columns)
  end
  local n = #result
  result[n + 1], result[n + 2], result[n + 3], result[n + 4], result[n + 5] = index, score, member, better, distinct
end
return result
