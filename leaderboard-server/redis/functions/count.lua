-- How many entries of one shard rank before given positions, which are of other
-- shards.
--
-- KEYS: entries, state. ARGV: for each position the stored score and what members there
-- begin with. Returns: the head, then how many entries there are, and the counts.
local result = head(KEYS[1], KEYS[2])
result[4] = call('ZCARD', KEYS[1])
for a = 1, #ARGV, 2 do
  result[#result + 1] = first_from(KEYS[1], ARGV[a], ARGV[a + 1], false)
end
return result
