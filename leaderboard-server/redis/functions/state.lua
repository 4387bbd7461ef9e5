-- What a shard says of itself.
--
-- KEYS: entries, state, applied transactions. ARGV: 1 if there may be segments.
-- Returns: identity, watermark (false: none), 1 if the entries are as many as the
-- state says, those of segments, too, the transactions, and the last moderation that was
-- followed (false: none).
local entries, state = KEYS[1], KEYS[2]
local is = call('HMGET', state, 'id', 'w', 'c', 'd', 'q')
local whole = is_whole(entries, is[3], is[4])
for _, suffix in ipairs(ARGV[1] == '1' and segments_of(state) or {}) do
  local of = call('HMGET', state, 'c' .. suffix, 'd' .. suffix)
  whole = whole and is_whole(entries .. suffix, of[1], of[2])
end
return { is[1], is[2], whole and 1 or 0, call('GET', KEYS[3]), is[5] }
