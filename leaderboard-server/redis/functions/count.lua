-- How many entries of one shard rank before given positions, which are of other
-- shards.
--
-- KEYS: entries, state. ARGV: for each position the stored score and the tie as a
-- number. Returns: the head, then the counts.
local result = head(KEYS[1], KEYS[2])
for a = 1, #ARGV, 2 do
  result[#result + 1] = first_from(KEYS[1], ARGV[a], tonumber(ARGV[a + 1]), false)
end
return result
