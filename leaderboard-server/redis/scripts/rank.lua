-- The entries of players of one shard.
--
-- KEYS: entries, state, then the bucket of each player. ARGV: for each player the
-- field, and the player's number as in members.
-- Returns: identity, watermark (false: none), generation, then for each player rank (-1: no
-- entry), score and member.
local entries, state = KEYS[1], KEYS[2]
local is = redis.call('HMGET', state, 'id', 'w', 'g')
local result = { is[1], is[2], is[3] }
for i = 3, #KEYS do
  local a = 2 * i - 5
  local value = redis.call('HGET', KEYS[i], ARGV[a])
  local rank, score, member = -1, '', ''
  if value and string.sub(value, 1, 6) ~= '\0\0\0\0\0\0' then
    local origin = 7
    while string.byte(value, origin) > 127 do
      origin = origin + 1
    end
    member = string.sub(value, 1, 6) .. ARGV[a + 1] .. string.sub(value, origin + 1)
    rank = redis.call('ZRANK', entries, member)
    score = redis.call('ZSCORE', entries, member)
  end
  result[#result + 1] = rank
  result[#result + 1] = score
  result[#result + 1] = member
end
return result
