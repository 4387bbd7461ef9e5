-- Deletes keys of a shard for a session that was told to.
--
-- KEYS: entries, state, then buckets to delete. ARGV: session, the identity to give the
-- shard ('': not done yet; '-': the shard is no longer used).
-- The session becomes the generation of the new data: its watermarks are not to
-- be compared with those before. Returns 1, or 0 if the session has ended.
check_lengths(ARGV)
local entries, state = KEYS[1], KEYS[2]
local is = call('HMGET', state, 's', 'x')
if is[1] ~= ARGV[1] then
  return 0
end
for i = 3, #KEYS do
  call('UNLINK', KEYS[i])
end
if ARGV[2] ~= '' then
  call('UNLINK', entries, distinct_key(entries))
  drop_snapshots(state, is[2]) -- of the entries that are gone now
  drop_segments(entries, state, segments_of(state))
  drop_floors(state)
end
if ARGV[2] == '-' then
  call('UNLINK', state)
elseif ARGV[2] ~= '' then
  call('HDEL', state, 'b', 'x', 'c', 'd')
  call('HSET', state, 'id', ARGV[2], 'g', ARGV[1])
end
return 1
