-- Makes a snapshot of one shard's entries, or finds one that serves as well. A
-- snapshot is what apply.lua keeps of entries before they change: nothing is
-- copied here.
--
-- KEYS: entries, state. ARGV: a new name; the name of the snapshot to find, or ''
-- to choose; its life in milliseconds; for how many of them others may join; how
-- many snapshots there may be; how many changes each may keep; what to remember
-- with it.
-- Returns: the head, then (nothing if the shard is not whole) the snapshot's name,
-- stamp, remaining milliseconds and what was remembered.
local entries, state = KEYS[1], KEYS[2]
local result = head(entries, state)
if not result[2] then
  return result
end
local list_field = 'x' .. suffix_of(entries)
local listed = call('HGET', state, list_field)
local base = snapshot_base(state)
local life = tonumber(ARGV[3])

-- Oldest first. One that ended takes those before it along: they need what it kept.
local names, left = {}, {}
for name in snapshot_names(listed) do
  local ttl = call('PTTL', base .. 's:' .. name)
  if ttl > 0 and call('EXISTS', base .. 't:' .. name, base .. 'o:' .. name) == 2 then
    names[#names + 1], left[#left + 1] = name, ttl
  else
    drop_snapshot(base, name)
    for _, older in ipairs(names) do
      drop_snapshot(base, older)
    end
    names, left = {}, {}
  end
end

local chosen
if ARGV[2] ~= '' then
  for i, name in ipairs(names) do
    if name == ARGV[2] then
      chosen = i
    end
  end
elseif #names > 0 then
  -- The last place is kept until the oldest has lived for half its life. So
  -- nobody is turned away, and whoever joins has half a life at least.
  local most = tonumber(ARGV[5])
  local old = life - left[1] >= life / 2
  if life - left[#left] < tonumber(ARGV[4]) or #names >= most or (#names == most - 1 and not old) then
    chosen = #names
  end
end

if not chosen then
  local name = ARGV[2] ~= '' and ARGV[2] or ARGV[1]
  chosen = #names + 1
  -- Snapshots end in the order in which they were made, whatever lives they were given.
  if left[#left] then
    life = math.max(life, left[#left] + 1)
  end
  names[chosen], left[chosen] = name, life
  call('SET', base .. 's:' .. name, ARGV[6], 'PX', life)
  -- What is kept is unlinked by whoever finds the name gone. Its own end is for
  -- shards that nobody writes to any more: deleting much at once blocks Redis.
  call('HSET', base .. 't:' .. name, 'n', call('ZCARD', entries), 'i', ARGV[1], 'r', ARGV[7])
  call('ZADD', base .. 'o:' .. name, '+inf', '')
  call('PEXPIRE', base .. 't:' .. name, 2 * life)
  call('PEXPIRE', base .. 'o:' .. name, 2 * life)
end
local list = table.concat(names, ' ')
if list ~= listed then
  call('HSET', state, list_field, list)
end
local kept = call('HMGET', base .. 't:' .. names[chosen], 'i', 'r')
result[4], result[5], result[6], result[7] = names[chosen], kept[1] or '', left[chosen], kept[2] or ''
return result
