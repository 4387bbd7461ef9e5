-- Begins a session of catch-up on one shard: from now on only this session's
-- chunks are taken.
--
-- KEYS: entries, state, applied transactions. ARGV: identity, session, the watermark
-- that the caller goes on from ('' for none), 1 to throw away what is there, 1 to
-- forget which transactions were applied: the caller goes by none; then what the keys of
-- segments may end with.
-- Returns: 'ready'; or 'moved' if what is there is not what the caller takes it
-- for; or 'wipe', the highest bucket, the identity of what must be thrown away
-- now, and 1 if it has segments.
local entries, state = KEYS[1], KEYS[2]
local is = call('HMGET', state, 'id', 'w', 'b')
if (is[2] or '') ~= ARGV[3] then
  return { 'moved' }
end
if ARGV[5] == '1' then
  call('DEL', KEYS[3])
end
if is[1] and ARGV[4] == '1' then
  local old = is[1]
  if sub(old, 1, 1) ~= '~' then
    old = '~' .. old -- nobody's identity: nothing is applied from now on
  end
  call('HSET', state, 'id', old, 's', ARGV[2], 'n', 0)
  call('HDEL', state, 'w')
  return { 'wipe', is[3] or '-1', old, #segments_of(state) > 0 and 1 or 0 }
end
if is[1] and is[1] ~= ARGV[1] then
  return { 'moved' }
end
if not is[1] then
  call('UNLINK', entries, distinct_key(entries)) -- Redis lost the state: nobody knows what this is of
  drop_floors(state)
end
for i = 6, #ARGV do
  if not call('HGET', state, 'c' .. ARGV[i]) then
    call('UNLINK', entries .. ARGV[i], distinct_key(entries .. ARGV[i])) -- nor of what these are
  end
end
call('HSET', state, 'id', ARGV[1], 's', ARGV[2], 'n', 0)
return { 'ready' }
