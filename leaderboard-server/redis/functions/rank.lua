-- The entries of players of one shard.
--
-- KEYS: entries, state, then the bucket of each player. ARGV: 1 if the board's
-- scoring is ordered; then for each player the field, and the player's number
-- as in members.
-- Returns: the head, then for each player rank (-1: no entry), score and member.
local entries = KEYS[1]
local result = head(entries, KEYS[2])
local ordered = ARGV[1] == '1'
for i = 3, #KEYS do
  local a = 2 * i - 4
  local rank, score, member = -1, '', member_of(KEYS[i], ARGV[a], ARGV[a + 1], ordered) or ''
  if member ~= '' then
    rank = call('ZRANK', entries, member)
    score = call('ZSCORE', entries, member)
  end
  local n = #result
  result[n + 1], result[n + 2], result[n + 3] = rank, score, member
end
return result
