-- Deletes tombstones that nothing can overtake any more.
--
-- KEYS: buckets. ARGV: for each the field and the tombstone as it was written.
for i = 1, #KEYS do
  if redis.call('HGET', KEYS[i], ARGV[2 * i - 1]) == ARGV[2 * i] then
    redis.call('HDEL', KEYS[i], ARGV[2 * i - 1])
  end
end
return #KEYS
