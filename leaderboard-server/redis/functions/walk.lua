-- A part of a snapshot of one shard: the entries next to a place, from several sources that
-- the caller merges. A source is what one snapshot kept, from the
-- wanted one to the newest, or, the last, the entries as they are. Of a player it
-- counts what the first of them has to say.
--
-- KEYS: entries, state. ARGV: the snapshot's name; the stored score and what members begin
-- with of an entry that the place is next to; how many entries are wanted of each source
-- (below twice as many come); the number of columns; 1 if the place is before that entry, 0
-- if it is after it; 1 to go back from the place, 0 to go on.
-- Returns: nothing if there is no such snapshot; else its stamp, how many entries
-- it has, and for each source three: a list of member and score of each entry,
-- and member and score of the last that was looked at ('' if it has no more).
local entries, state = KEYS[1], KEYS[2]
local base = snapshot_base(state)
local kept, sets
for name in snapshot_names(call('HGET', state, 'x' .. suffix_of(entries))) do
  if name == ARGV[1] then
    kept, sets = {}, {}
  end
  if kept then
    kept[#kept + 1], sets[#sets + 1] = base .. 't:' .. name, base .. 'o:' .. name
  end
end
if not kept or call('EXISTS', base .. 's:' .. ARGV[1], unpack(kept)) <= #kept or call('EXISTS', unpack(sets)) < #sets then
  return {}
end
sets[#sets + 1] = entries

local score, beginning, wanted = ARGV[2], ARGV[3], math.min(tonumber(ARGV[4]), 2000)
local columns = tonumber(ARGV[5])
local before, back = ARGV[6] == '1', ARGV[7] == '1'

-- Appends those of the range that none of the first snapshots has kept.
local function select_into(list, range, snapshots)
  local hidden, players = {}, {}
  for i = 1, #range, 2 do
    players[#players + 1] = player_of(range[i], columns)
  end
  for k = 1, snapshots do
    for i, known in ipairs(call('HMGET', kept[k], unpack(players))) do
      hidden[i] = hidden[i] or known
    end
  end
  for i = 1, #range, 2 do
    if not hidden[(i + 1) / 2] then
      list[#list + 1], list[#list + 2] = range[i], range[i + 1]
    end
  end
end

local head = call('HMGET', kept[1], 'i', 'n')
local result = { head[1], head[2] }
for k, set in ipairs(sets) do
  -- Of what is asked for, the next entry is at index, or back the last one before it.
  local list, index, last, last_score = {}, first_from(set, score, beginning, not before), '', ''
  -- Where nearly all are hidden, a second chunk and then the next call go on.
  for _ = 1, 2 do
    local range, whole = {}, false
    if not back then
      range = call('ZRANGE', set, index, index + wanted - 1, 'WITHSCORES')
      index, whole = index + wanted, #range == 2 * wanted
    elseif index > 0 then
      local first = math.max(index - wanted, 0)
      range = call('ZRANGE', set, first, index - 1, 'WITHSCORES')
      index, whole = first, first > 0
    end
    if k < #sets and range[#range - 1] == '' then
      range[#range], range[#range - 1], whole = nil, nil, false -- the end of what is kept
    end
    if #range > 0 then
      select_into(list, range, k - 1)
    end
    last, last_score = '', ''
    if not whole then
      break
    end
    last, last_score = range[back and 1 or #range - 1], range[back and 2 or #range]
    if #list >= 2 * wanted then
      break
    end
  end
  result[#result + 1], result[#result + 2], result[#result + 3] = list, last, last_score
end
return result
