-- Joins standings to one shard, in their order, and says what became of some: where
-- the scoring is ordered the later last event wins, where the first submission stays the
-- lower tie, elsewhere the better score, then the better columns, then the lower tie. So it
-- does no harm to apply a standing twice, late or in another order.
--
-- KEYS: entries, state, applied transactions, then the bucket of each standing.
-- ARGV: identity; the session of catch-up and how many chunks it has applied, or '';
-- the highest bucket; 1 if the board's scoring is ordered, 2 if the first submission
-- stays, else 0; the transaction all of whose standings these are, or ''; the number of
-- columns; o, c or d where ranks are ordinal, competition or dense. Then for each standing
-- five: field, member, score, last event (as a tie is in members; '' if not ordered), and
-- what to do: j join, a join and answer, r answer only, of an entry that reflects the
-- standing.
-- Returns: nothing if the caller is stale or the shard is not whole; else the head,
-- then for each answer index (-1: not known), score, member, how many entries are better,
-- how many of what they have is, and 1 if the standing made the entry better, or is what it
-- is by now.
local entries, state, applied = KEYS[1], KEYS[2], KEYS[3]
local is = call('HMGET', state, 'id', 's', 'n', 'b', 'x', 'c', 'd')
local count = tonumber(is[6] or 0)
if call('ZCARD', entries) ~= count then
  return {}
end
local columns, ranks = tonumber(ARGV[7]), ARGV[8]
local distinct = ranks == 'd' and distinct_key(state)
local distinct_count = tonumber(is[7] or 0)
if distinct and call('ZCARD', distinct) ~= distinct_count then
  return {}
end
if ARGV[2] == '' then
  if not is[1] then
    call('HSET', state, 'id', ARGV[1])
  elseif is[1] ~= ARGV[1] then
    return {}
  end
else
  -- Redis may have been restored since the last chunk: chunks must be gapless.
  if is[1] ~= ARGV[1] or is[2] ~= ARGV[2] or is[3] ~= ARGV[3] then
    return {}
  end
  call('HINCRBY', state, 'n', 1)
end
if tonumber(ARGV[4]) > tonumber(is[4] or -1) then
  call('HSET', state, 'b', ARGV[4])
end

-- Where nobody forgets them, as while nobody leads, catch-up joins the rest again.
local most_applied = 4096
if ARGV[6] ~= '' and call('STRLEN', applied) < most_applied * transaction_digits then
  call('APPEND', applied, ARGV[6])
end

-- While there are snapshots (snapshot.lua), an entry is kept in the newest before
-- it changes for the first time since.
local touched, kept
if is[5] then
  local base = snapshot_base(state)
  local newest
  for name in snapshot_names(is[5]) do
    newest = name
  end
  touched, kept = base .. 't:' .. newest, base .. 'o:' .. newest
  local most, changes = call('GET', base .. 's:' .. newest), call('HLEN', touched)
  if not most or changes == 0 or changes - 3 >= tonumber(most) then -- 3: see snapshot.lua
    drop_snapshots(state, is[5]) -- all have ended, or this one is full
    call('HDEL', state, 'x')
    touched = nil
  end
end

local ordered, first_stays = ARGV[5] == '1', ARGV[5] == '2'
local added, distinct_added = 0, 0

-- What is there of a player: member, score as text, last event; nil if nothing.
local function entry_of(bucket, field, player)
  local value = call('HGET', bucket, field)
  if not value then
    return nil
  end
  local has, past = key_ends(value, columns)
  local member = sub(value, 1, past) .. player .. (ordered and '' or sub(value, past + 1))
  local score = call('ZSCORE', entries, member)
  if not score then
    return nil -- of before Redis lost the entries
  end
  return member, score, ordered and (#value > past and sub(value, past + 1) or sub(value, has + 1, past))
end

-- The columns that a member begins with.
local function columns_of(member)
  return sub(member, 1, (key_ends(member, columns)))
end

local function tie_of(member)
  local has, past = key_ends(member, columns)
  return sub(member, has + 1, past)
end

-- Keeps the set of what the entries have, after an entry took the place of another one.
local function replace_distinct(old, old_score, member, score)
  distinct_added = distinct_added + call('ZADD', distinct, score, distinct_member(score, columns_of(member)))
  if not old then
    return
  end
  local has = columns_of(old)
  local index = first_from(entries, old_score, has, false)
  local rest = call('ZRANGE', entries, index, index, 'WITHSCORES')
  if not rest[1] or tonumber(rest[2]) ~= tonumber(old_score) or compare(rest[1], has) ~= 0 then
    distinct_added = distinct_added - call('ZREM', distinct, distinct_member(old_score, has))
  end
end

-- Puts an entry in the place of what was there.
local function replace(bucket, field, player, old, old_score, member, score, last)
  if touched and call('HSETNX', touched, player, '') == 1 and old then
    call('ZADD', kept, old_score, old)
  end
  if old ~= member then
    if old then
      call('ZREM', entries, old)
    else
      added = added + 1
    end
  end
  call('ZADD', entries, score, member)
  local has, past = key_ends(member, columns)
  local key = sub(member, 1, past)
  if ordered then
    call('HSET', bucket, field, last == sub(key, has + 1) and key or key .. last)
  else
    call('HSET', bucket, field, key .. sub(member, past + #player + 1))
  end
  if distinct then
    replace_distinct(old, old_score, member, score)
  end
end

-- Whose entry is asked for, and what became of the standing; of each the member and
-- the score.
local answers, members, scores = {}, {}, {}
local a = 9
for i = 4, #KEYS do
  local field, member, score, last, task = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  a = a + 5
  local player = player_of(member, columns)
  local old, old_score, old_last = entry_of(KEYS[i], field, player)
  local new, before = tonumber(score), old and tonumber(old_score)
  -- Below 0: what the standing has is better than what is there.
  local order = old and new - before
  if order == 0 and columns > 0 then
    order = compare(member, columns_of(old))
  end
  if task == 'r' then
    local reflects = old and (first_stays and compare(tie_of(old), tie_of(member)) <= 0
      or ordered and compare(last, old_last) <= 0
      or not ordered and not first_stays and order >= 0)
    if not members[player] then
      members[player], scores[player] = old, old_score
    end
    answers[#answers + 1] = { reflects and player, 0 }
  else
    local better = not old
    if old and ordered then
      better = compare(last, old_last) > 0
    elseif old and first_stays then
      better = compare(tie_of(member), tie_of(old)) < 0
    elseif old then
      better = order < 0 or order == 0 and compare(tie_of(member), tie_of(old)) < 0
    end
    if better then
      replace(KEYS[i], field, player, old, old_score, member, score, last)
    end
    members[player], scores[player] = better and member or old, better and score or old_score
    if task == 'a' then
      local improved = better and (not old or order < 0) or not better and old == member and new == before
      answers[#answers + 1] = { player, improved and 1 or 0 }
    end
  end
end
if added > 0 then
  call('HSET', state, 'c', count + added)
end
if distinct and (distinct_added ~= 0 or not is[7]) then
  call('HSET', state, 'd', distinct_count + distinct_added)
end

local result = head(entries, state)
for _, answer in ipairs(answers) do
  local member = members[answer[1]]
  local n = #result
  if member then
    local score = scores[answer[1]]
    result[n + 1], result[n + 2], result[n + 3] = call('ZRANK', entries, member), score, member
    result[n + 4], result[n + 5] = standing_of(entries, state, ranks, score, member, columns)
  else
    result[n + 1], result[n + 2], result[n + 3] = -1, '', '' -- none, or one that is behind
    result[n + 4], result[n + 5] = 0, 0
  end
  result[n + 6] = answer[2]
end
return result
