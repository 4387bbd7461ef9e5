-- Ends a session of catch-up: everything below the new watermark is applied.
--
-- KEYS: state. ARGV: session, number of chunks, watermark, 1 to end the snapshots
-- for walks: those of a shard that was not where its leader left it may be of a
-- state that had been superseded.
-- Returns 1, or 0 if the session has ended or Redis lost a chunk of it.
local is = redis.call('HMGET', KEYS[1], 's', 'n')
if is[1] ~= ARGV[1] or is[2] ~= ARGV[2] then
  return 0
end
if ARGV[4] == '1' then
  local base = string.sub(KEYS[1], 1, -2)
  for name in string.gmatch(redis.call('HGET', KEYS[1], 'x') or '', '%w+') do
    redis.call('UNLINK', base .. 's:' .. name, base .. 't:' .. name, base .. 'o:' .. name)
  end
  redis.call('HDEL', KEYS[1], 'x')
end
redis.call('HSET', KEYS[1], 'w', ARGV[3])
redis.call('HDEL', KEYS[1], 's', 'n')
return 1
