-- Ends a session of catch-up: everything below the new watermark is applied.
--
-- KEYS: state. ARGV: session, number of chunks, watermark.
-- Returns 1, or 0 if the session has ended or Redis lost a chunk of it.
local is = redis.call('HMGET', KEYS[1], 's', 'n')
if is[1] ~= ARGV[1] or is[2] ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'w', ARGV[3])
redis.call('HDEL', KEYS[1], 's', 'n')
return 1
