-- Has a shard follow moderations: replaces what it has of players, in the season and in all of
-- its segments, and keeps what was on its way when they were moderated from coming back. Then,
-- in a call of its own, remembers up to which moderation it has.
--
-- KEYS: entries, state, then for each player two: the bucket, and that of segments.
-- ARGV: identity; the last moderation that was followed so far; a token of the caller; '', or the
-- last one that was followed by now: the call has no players then, and nobody may have
-- replaced anything since the caller did. Then the function apply's flag of the scoring; the
-- number of columns; o, c or d where ranks are ordinal, competition or dense. Then for each
-- player six: the player's number as in members; the number of the bucket; the field; that of
-- segments, without its end; up to which event what was reached is out of date, as a tie is in
-- members ('': nothing is); how many standings there are; then for each of these four: what its
-- segment's keys end with, member, score, and last event ('' if not ordered).
-- Returns 1; or 0 if the shard is another one, or not whole, or somebody else was faster.
local entries, state = KEYS[1], KEYS[2]
local is = call('HMGET', state, 'id', 'q', 'u', 'c', 'd', 'b')
if is[1] ~= ARGV[1] or (is[2] or '0') ~= ARGV[2] or not is_whole(entries, is[4], is[5]) then
  return 0
end
if ARGV[4] ~= '' then
  if is[3] ~= ARGV[3] then
    return 0
  end
  call('HSET', state, 'q', ARGV[4])
  call('HDEL', state, 'u')
  return 1
end
call('HSET', state, 'u', ARGV[3])

local ordered, columns, ranks = ARGV[5] == '1', tonumber(ARGV[6]), ARGV[7]
local highest = tonumber(is[6] or -1)

-- Puts an entry, or nothing, in the place of what a player has there.
local function put(suffix, bucket, field, player, want)
  local set = entries .. suffix
  local old, old_score = entry_of(set, bucket, field, player, ordered, columns)
  if old then
    call('ZREM', set, old)
  end
  if want then
    call('ZADD', set, want.score, want.member)
    call('HSET', bucket, field, value_of(want.member, player, ordered, want.last, columns))
  else
    call('HDEL', bucket, field)
  end
  if not old and not want then
    return
  end

  if ranks == 'd' then
    local more = replace_distinct(set, old, old_score, want and want.member, want and want.score, columns)
    call('HINCRBY', state, 'd' .. suffix, more)
  end
  local count = call('HINCRBY', state, 'c' .. suffix, (want and 1 or 0) - (old and 1 or 0))
  if count == 0 and suffix ~= '' then
    call('HDEL', state, 'c' .. suffix, 'd' .. suffix)
  end
  -- Walks began while it was there: they are to begin again.
  drop_snapshots(state, call('HGET', state, 'x' .. suffix))
  call('HDEL', state, 'x' .. suffix)
end

local a = 8
for i = 3, #KEYS, 2 do
  local player, number, field, in_segments, floor = ARGV[a], tonumber(ARGV[a + 1]), ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  local wanted = {}
  local first = a + 6
  a = first + 4 * tonumber(ARGV[a + 5])
  for w = first, a - 1, 4 do
    wanted[ARGV[w]] = { member = ARGV[w + 1], score = ARGV[w + 2], last = ARGV[w + 3] }
  end
  if next(wanted) and number > highest then
    highest = number
    call('HSET', state, 'b', highest)
  end

  put('', KEYS[i], field, player, wanted[''])
  for _, suffix in ipairs(segments_of(state)) do
    put(suffix, KEYS[i + 1], in_segments .. suffix, player, wanted[suffix])
    wanted[suffix] = nil
  end
  for suffix, want in pairs(wanted) do
    if suffix ~= '' then
      put(suffix, KEYS[i + 1], in_segments .. suffix, player, want)
    end
  end

  if floor == '' then
    call('HDEL', floors_key(state), player)
  else
    call('HSET', floors_key(state), player, floor)
    call('HSET', state, 'f', 1)
  end
end
return 1
