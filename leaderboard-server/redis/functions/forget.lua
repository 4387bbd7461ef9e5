-- Deletes segments of one shard that are not served any more.
--
-- KEYS: entries, state. ARGV: what their keys end with.
check_lengths(ARGV)
drop_segments(KEYS[1], KEYS[2], ARGV)
return 1
