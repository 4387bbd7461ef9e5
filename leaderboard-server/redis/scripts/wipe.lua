-- Deletes keys of a shard for a session that was told to.
--
-- KEYS: state, then the keys to delete. ARGV: session, the identity to give the
-- shard ('': not done yet; '-': the shard is no longer used).
-- The session becomes the generation of the new data: its watermarks are not to
-- be compared with those before. Returns 1, or 0 if the session has ended.
if redis.call('HGET', KEYS[1], 's') ~= ARGV[1] then
  return 0
end
for i = 2, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
if ARGV[2] ~= '' then
  -- The snapshots are of the entries that are gone now.
  local base = string.sub(KEYS[1], 1, -2)
  for name in string.gmatch(redis.call('HGET', KEYS[1], 'x') or '', '%w+') do
    redis.call('UNLINK', base .. 's:' .. name, base .. 't:' .. name, base .. 'o:' .. name)
  end
end
if ARGV[2] == '-' then
  redis.call('UNLINK', KEYS[1])
elseif ARGV[2] ~= '' then
  redis.call('HDEL', KEYS[1], 'b', 'x')
  redis.call('HSET', KEYS[1], 'id', ARGV[2], 'g', ARGV[1])
end
return 1
