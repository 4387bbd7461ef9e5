-- Deletes segments of one shard that are not served any more.
--
-- KEYS: entries, state. ARGV: identity, then what the segments' keys end with.
-- Returns: 1; or 0 if the shard has another identity: what is there is not what the caller
-- takes it for.
check_lengths(ARGV)
if call('HGET', KEYS[2], 'id') ~= ARGV[1] then
  return 0
end
drop_segments(KEYS[1], KEYS[2], { unpack(ARGV, 2) })
return 1
