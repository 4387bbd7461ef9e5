-- Ends a session of catch-up: everything below the new watermark is applied.
--
-- KEYS: entries, state. ARGV: session, number of chunks, watermark, 1 to end the
-- snapshots for walks: those of a shard that was not where its leader left it may be
-- of a state that had been superseded.
-- Returns 1, or 0 if the session has ended or Redis lost a part of the shard.
local entries, state = KEYS[1], KEYS[2]
local is = call('HMGET', state, 's', 'n', 'c', 'x')
if is[1] ~= ARGV[1] or is[2] ~= ARGV[2] or call('ZCARD', entries) ~= tonumber(is[3] or 0) then
  return 0
end
if ARGV[4] == '1' and is[4] then
  drop_snapshots(state, is[4])
  call('HDEL', state, 'x')
end
call('HSET', state, 'w', ARGV[3])
call('HDEL', state, 's', 'n')
return 1
