-- Applies standings to one shard, each only if its version is higher than what is
-- there, and tells the ranks of some.
--
-- KEYS: entries, state, then the bucket of each standing.
-- ARGV: identity; the transaction (20 digits), or '' in a session of catch-up;
-- the session and how many chunks it has applied, or ''; the highest bucket; how
-- many of the first standings to tell the rank of. Then for each standing five:
-- field, member, score ('' if removed), value, version (0: tell its rank only).
-- Returns: nothing if the caller is stale; else watermark (false: none),
-- generation, then rank, score and member of each that was asked for (rank -1: no
-- entry).
local entries, state = KEYS[1], KEYS[2]
local is = redis.call('HMGET', state, 'id', 'w', 's', 'n', 'b', 'g', 'x')
local skip = false
if ARGV[3] == '' then
  if not is[1] then
    redis.call('HSET', state, 'id', ARGV[1])
  elseif is[1] ~= ARGV[1] then
    return {}
  end
  -- Catch-up has applied all transactions below the watermark, and may have
  -- forgotten the tombstones that would stop this one.
  skip = is[2] and ARGV[2] < is[2]
else
  -- Redis may have been restored since the last chunk: chunks must be gapless.
  if is[1] ~= ARGV[1] or is[3] ~= ARGV[3] or is[4] ~= ARGV[4] then
    return {}
  end
  redis.call('HINCRBY', state, 'n', 1)
end
if tonumber(ARGV[5]) > tonumber(is[5] or -1) then
  redis.call('HSET', state, 'b', ARGV[5])
end

local byte, sub = string.byte, string.sub
local removed = '\0\0\0\0\0\0'

-- The value's version (a varint after the tie) and where the origin begins.
local function version_of(value)
  local version, weight, i = 0, 1, 7
  while true do
    local b = byte(value, i)
    i = i + 1
    if b < 128 then
      return version + b * weight, i
    end
    version, weight = version + (b - 128) * weight, weight * 128
  end
end

-- While there are snapshots (snapshot.lua), an entry is kept in the newest before
-- it changes for the first time since.
local touched, kept
if is[7] and not skip then
  local base = sub(state, 1, -2)
  local newest = string.match(is[7], '%w+$')
  touched, kept = base .. 't:' .. newest, base .. 'o:' .. newest
  local most, changes = redis.call('GET', base .. 's:' .. newest), redis.call('HLEN', touched)
  if not most or changes == 0 or changes - 3 >= tonumber(most) then -- 3: see snapshot.lua
    for name in string.gmatch(is[7], '%w+') do -- all have ended, or this one is full
      redis.call('UNLINK', base .. 's:' .. name, base .. 't:' .. name, base .. 'o:' .. name)
    end
    redis.call('HDEL', state, 'x')
    touched = nil
  end
end

-- The members of the entries that are asked for, and the scores where known.
local asks = tonumber(ARGV[6])
local members, scores = {}, {}
local a = 7
for i = 3, #KEYS do
  local version = tonumber(ARGV[a + 4])
  local apply, ask = version > 0 and not skip, i <= asks + 2
  if apply or ask then
    local field, member = ARGV[a], ARGV[a + 1]
    local old, old_member = redis.call('HGET', KEYS[i], field), nil
    local old_version, origin = 0, 0
    if old then
      old_version, origin = version_of(old)
      local tie = sub(old, 1, 6)
      if tie ~= removed then
        old_member = tie .. sub(member, 7, 11) .. sub(old, origin)
      end
    end
    if apply and version > old_version then
      if touched and redis.call('HSETNX', touched, sub(member, 7, 11), '') == 1 and old_member then
        local score = redis.call('ZSCORE', entries, old_member)
        if score then
          redis.call('ZADD', kept, score, old_member)
        end
      end
      if old_member then
        redis.call('ZREM', entries, old_member)
        old_member = nil
      end
      if ARGV[a + 2] ~= '' then
        redis.call('ZADD', entries, ARGV[a + 2], member)
        old_member, scores[i] = member, ARGV[a + 2]
      end
      redis.call('HSET', KEYS[i], field, ARGV[a + 3])
    end
    if ask then
      members[i] = old_member
    end
  end
  a = a + 5
end

local result = { is[2], is[6] }
for i = 3, 2 + asks do
  local rank, score, member = -1, '', members[i] or ''
  if members[i] then
    rank = redis.call('ZRANK', entries, member)
    score = scores[i] or redis.call('ZSCORE', entries, member)
  end
  result[#result + 1] = rank
  result[#result + 1] = score
  result[#result + 1] = member
end
return result
