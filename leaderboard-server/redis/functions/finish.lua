-- Ends a session of catch-up: everything below the new watermark is applied.
--
-- KEYS: entries, state, applied transactions. ARGV: session, number of chunks,
-- watermark, 1 to end the snapshots for walks: those of a shard that was not where its
-- leader left it may be of a state that had been superseded. Then how many applied
-- transactions the session went by, and the last of them.
-- Returns 1, or 0 if the session has ended or Redis lost a part of the shard.
check_lengths(ARGV)
local entries, state, applied = KEYS[1], KEYS[2], KEYS[3]
local known = tonumber(ARGV[5])
local is = call('HMGET', state, 's', 'n', 'c', 'x', 'd')
if is[1] ~= ARGV[1] or is[2] ~= ARGV[2] or not is_whole(entries, is[3], is[5]) then
  return 0
end
-- They came one after the other: where the last one is, the others are, and all that
-- was applied with them. A Redis that was restored since has others in their place.
if known > 0 then
  local past = known * transaction_digits
  if call('GETRANGE', applied, past - transaction_digits, past - 1) ~= ARGV[6] then
    return 0
  end
  local rest = call('GETRANGE', applied, past, -1)
  if rest == '' then
    call('DEL', applied)
  else
    call('SET', applied, rest)
  end
end
if ARGV[4] == '1' then
  drop_snapshots(state, is[4])
  call('HDEL', state, 'x')
  for _, suffix in ipairs(segments_of(state)) do
    drop_snapshots(state, call('HGET', state, 'x' .. suffix))
    call('HDEL', state, 'x' .. suffix)
  end
end
call('HSET', state, 'w', ARGV[3])
call('HDEL', state, 's', 'n')
return 1
