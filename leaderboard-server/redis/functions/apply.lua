-- Joins standings to one shard, in their order, and says what became of some: where
-- the scoring is ordered the later last event wins, where the first submission stays the
-- lower tie, elsewhere the better score and then the lower tie. So it does no harm to apply a standing twice, late or in
-- another order.
--
-- KEYS: entries, state, applied transactions, then the bucket of each standing.
-- ARGV: identity; the session of catch-up and how many chunks it has applied, or '';
-- the highest bucket; 1 if the board's scoring is ordered, 2 if the first submission
-- stays, else 0; the transaction all
-- of whose standings these are, or ''. Then for each standing five: field, member,
-- score, last event (6 bytes; '' if not ordered), and what to do: j join, a join and
-- answer, r answer only, of an entry that reflects the standing.
-- Returns: nothing if the caller is stale or the shard is not whole; else the head,
-- then for each answer rank (-1: not known), score, member, and 1 if the standing made
-- the entry better, or is what it is by now.
local entries, state, applied = KEYS[1], KEYS[2], KEYS[3]
local is = call('HMGET', state, 'id', 's', 'n', 'b', 'x', 'c')
local count = tonumber(is[6] or 0)
if call('ZCARD', entries) ~= count then
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
local added = 0

-- What is there of a player: member, score as text, last event; nil if nothing.
local function entry_of(bucket, field, player)
  local value = call('HGET', bucket, field)
  if not value then
    return nil
  end
  local tie = sub(value, 1, 6)
  local member = tie .. player .. (ordered and '' or sub(value, 7))
  local score = call('ZSCORE', entries, member)
  if not score then
    return nil -- of before Redis lost the entries
  end
  return member, score, ordered and number_at(#value > 6 and value or tie, #value > 6 and 7 or 1)
end

-- Puts an entry in the place of what was there.
local function replace(bucket, field, old, old_score, member, score, last)
  if touched and call('HSETNX', touched, sub(member, 7, 11), '') == 1 and old then
    call('ZADD', kept, old_score, old)
  end
  local tie = sub(member, 1, 6)
  if old ~= member then
    if old then
      call('ZREM', entries, old)
    else
      added = added + 1
    end
  end
  call('ZADD', entries, score, member)
  if ordered then
    call('HSET', bucket, field, last == tie and tie or tie .. last)
  else
    call('HSET', bucket, field, tie .. sub(member, 12))
  end
end

-- Whose entry is asked for, and what became of the standing; of each the member and
-- the score.
local answers, members, scores = {}, {}, {}
local a = 7
for i = 4, #KEYS do
  local field, member, score, last, task = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  a = a + 5
  local player = sub(member, 7, 11)
  local old, old_score, old_last = entry_of(KEYS[i], field, player)
  local new, before = tonumber(score), old and tonumber(old_score)
  if task == 'r' then
    local reflects = old and (first_stays and number_at(old, 1) <= number_at(member, 1)
      or ordered and number_at(last, 1) <= old_last
      or not ordered and not first_stays and before <= new)
    if not members[player] then
      members[player], scores[player] = old, old_score
    end
    answers[#answers + 1] = { reflects and player, 0 }
  else
    local better = not old
    if old and ordered then
      better = number_at(last, 1) > old_last
    elseif old and first_stays then
      better = number_at(member, 1) < number_at(old, 1)
    elseif old then
      better = new < before or new == before and number_at(member, 1) < number_at(old, 1)
    end
    if better then
      replace(KEYS[i], field, old, old_score, member, score, last)
    end
    members[player], scores[player] = better and member or old, better and score or old_score
    if task == 'a' then
      local improved = better and (not old or new < before) or not better and old == member and new == before
      answers[#answers + 1] = { player, improved and 1 or 0 }
    end
  end
end
if added > 0 then
  call('HSET', state, 'c', count + added)
end

local result = head(entries, state)
for _, answer in ipairs(answers) do
  local member = members[answer[1]]
  local n = #result
  if member then
    result[n + 1], result[n + 2], result[n + 3] = call('ZRANK', entries, member), scores[answer[1]], member
  else
    result[n + 1], result[n + 2], result[n + 3] = -1, '', '' -- none, or one that is behind
  end
  result[n + 4] = answer[2]
end
return result
