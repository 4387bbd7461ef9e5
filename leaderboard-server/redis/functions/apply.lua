-- Joins standings to one shard, in their order, and says what became of some: where
-- the scoring is ordered the later last event wins, where the first submission stays the
-- lower tie, elsewhere the better score, then the better columns, then the lower tie. So it
-- does no harm to apply a standing twice, late or in another order.
--
-- KEYS: entries, state, applied transactions, then the bucket of each standing.
-- ARGV: identity; the session of catch-up and how many chunks it has applied, or '';
-- the highest bucket; 1 if the board's scoring is ordered, 2 if the first submission
-- stays, else 0; the transaction all of whose standings these are, or ''; the number of
-- columns; o, c or d where ranks are ordinal, competition or dense; the segments that
-- standings are of, as what their keys end with, separated by spaces. Then for each standing
-- five: field, which ends as its segment's keys do, member, score, last event (as a tie is in
-- members; '' if not ordered), and
-- what to do: j join, a join and answer, r answer only, of an entry that reflects the
-- standing; a and r are not of segments.
-- Returns: nothing if the caller is stale or the shard is not whole; else the head,
-- then for each answer index (-1: not known), score, member, how many entries are better,
-- how many of what they have is, and 1 if the standing made the entry better, or is what it
-- is by now.
local entries, state, applied = KEYS[1], KEYS[2], KEYS[3]
local is = call('HMGET', state, 'id', 's', 'n', 'b', 'x', 'c', 'd', 'f')
local columns, ranks, segmented = tonumber(ARGV[7]), ARGV[8], ARGV[9] ~= ''
local ordered, first_stays = ARGV[5] == '1', ARGV[5] == '2'

-- The entries of the shard, or of a segment; nil if they are not as many as the state says.
local function open_set(suffix, count, distinct_count, snapshots)
  local set = { entries = entries .. suffix, suffix = suffix, count = tonumber(count or 0), added = 0, snapshots = snapshots }
  if ranks == 'd' then
    set.distinct, set.distinct_count, set.distinct_added = distinct_key(set.entries), tonumber(distinct_count or 0), distinct_count and 0 or nil
  end
  if suffix ~= '' and not count then
    call('UNLINK', set.entries, distinct_key(set.entries)) -- of before Redis lost the state
  end
  if call('ZCARD', set.entries) ~= set.count or set.distinct and call('ZCARD', set.distinct) ~= set.distinct_count then
    return nil
  end
  return set
end

local sets = { [''] = open_set('', is[6], is[7], is[5]) }
if not sets[''] then
  return {}
end
if ARGV[2] == '' then
  if is[1] and is[1] ~= ARGV[1] then
    return {}
  end
elseif is[1] ~= ARGV[1] or is[2] ~= ARGV[2] or is[3] ~= ARGV[3] then
  -- Redis may have been restored since the last chunk: chunks must be gapless.
  return {}
end
for suffix in string.gmatch(ARGV[9], '%S+') do
  local of = call('HMGET', state, 'c' .. suffix, 'd' .. suffix, 'x' .. suffix)
  sets[suffix] = open_set(suffix, of[1], of[2], of[3])
  if not sets[suffix] then
    return {}
  end
end

if not is[1] then
  call('HSET', state, 'id', ARGV[1])
end
if ARGV[2] ~= '' then
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
for suffix, set in pairs(sets) do
  if set.snapshots then
    local base = snapshot_base(state)
    local newest
    for name in snapshot_names(set.snapshots) do
      newest = name
    end
    set.touched, set.kept = base .. 't:' .. newest, base .. 'o:' .. newest
    local most, changes = call('GET', base .. 's:' .. newest), call('HLEN', set.touched)
    if not most or changes == 0 or changes - 3 >= tonumber(most) then -- 3: see snapshot.lua
      drop_snapshots(state, set.snapshots) -- all have ended, or this one is full
      call('HDEL', state, 'x' .. suffix)
      set.touched = nil
    end
  end
end

-- Puts an entry in the place of what was there.
local function replace(set, bucket, field, player, old, old_score, member, score, last)
  if set.touched and call('HSETNX', set.touched, player, '') == 1 and old then
    call('ZADD', set.kept, old_score, old)
  end
  if old ~= member then
    if old then
      call('ZREM', set.entries, old)
    else
      set.added = set.added + 1
    end
  end
  call('ZADD', set.entries, score, member)
  call('HSET', bucket, field, value_of(member, player, ordered, last, columns))
  if set.distinct then
    set.distinct_added = (set.distinct_added or 0) + replace_distinct(set.entries, old, old_score, member, score, columns)
  end
end

-- Up to which event the standings of a player are out of date, as a tie is in members; false:
-- none is.
local floors = {}
local function floor_of(player)
  if floors[player] == nil then
    floors[player] = call('HGET', floors_key(state), player)
  end
  return floors[player]
end

-- Whose entry is asked for, and what became of the standing; of each the member and
-- the score.
local answers, members, scores = {}, {}, {}
local a = 10
for i = 4, #KEYS do
  local field, member, score, last, task = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  a = a + 5
  local set = sets[segmented and suffix_of(field) or '']
  local player = player_of(member, columns)
  local old, old_score, old_last = entry_of(set.entries, KEYS[i], field, player, ordered, columns)
  local floor = is[8] and floor_of(player)
  local new, before = tonumber(score), old and tonumber(old_score)
  -- Below 0: what the standing has is better than what is there.
  local order = old and new - before
  if order == 0 and columns > 0 then
    order = compare(member, columns_of(old, columns))
  end
  if floor and compare(ordered and last or tie_of(member, columns), floor) <= 0 then
    -- A moderator has had it not count since, or has left the player out.
    if task ~= 'j' then
      answers[#answers + 1] = { false, 0 }
    end
  elseif task == 'r' then
    local reflects = old and (first_stays and compare(tie_of(old, columns), tie_of(member, columns)) <= 0
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
      better = compare(tie_of(member, columns), tie_of(old, columns)) < 0
    elseif old then
      better = order < 0 or order == 0 and compare(tie_of(member, columns), tie_of(old, columns)) < 0
    end
    if better then
      replace(set, KEYS[i], field, player, old, old_score, member, score, last)
    end
    if set.suffix == '' then
      members[player], scores[player] = better and member or old, better and score or old_score
    end
    if task == 'a' then
      local improved = better and (not old or order < 0) or not better and old == member and new == before
      answers[#answers + 1] = { player, improved and 1 or 0 }
    end
  end
end
for suffix, set in pairs(sets) do
  if set.added > 0 then
    call('HSET', state, 'c' .. suffix, set.count + set.added)
  end
  if set.distinct and set.distinct_added ~= 0 then
    call('HSET', state, 'd' .. suffix, set.distinct_count + (set.distinct_added or 0))
  end
end

local result = head(entries, state)
for _, answer in ipairs(answers) do
  local member = members[answer[1]]
  local n = #result
  if member then
    local score = scores[answer[1]]
    result[n + 1], result[n + 2], result[n + 3] = call('ZRANK', entries, member), score, member
    result[n + 4], result[n + 5] = standing_of(entries, ranks, score, member, columns)
  else
    result[n + 1], result[n + 2], result[n + 3] = -1, '', '' -- none, or one that is behind
    result[n + 4], result[n + 5] = 0, 0
  end
  result[n + 6] = answer[2]
end
return result
