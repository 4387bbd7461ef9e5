-- How many entries of one shard rank before given positions, which are of other
-- shards.
--
-- KEYS: entries, state. ARGV: for each position the stored score and the tie as a
-- number. Returns: identity, watermark (false: none),
-- generation, then the counts.
local entries = KEYS[1]
local is = redis.call('HMGET', KEYS[2], 'id', 'w', 'g')
local result = { is[1], is[2], is[3] }
for a = 1, #ARGV, 2 do
  local score, tie = ARGV[a], tonumber(ARGV[a + 1])
  local low = redis.call('ZCOUNT', entries, '-inf', '(' .. score)
  -- Among equal scores members are in the order of their ties: search in halves.
  local high = low + redis.call('ZCOUNT', entries, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member = redis.call('ZRANGE', entries, middle, middle)[1]
    local n = 0
    for i = 1, 6 do
      n = n * 256 + string.byte(member, i)
    end
    if n < tie then
      low = middle + 1
    else
      high = middle
    end
  end
  result[#result + 1] = low
end
return result
