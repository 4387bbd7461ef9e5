-- Put before every function. What a function reads of a state may have been written by
-- somebody with the game's login, so no loop is longer than the arguments of its call, or
-- a few snapshots.

-- Set at the beginning of each function: Redis has no globals while it loads a library.
local byte, sub, call

-- Bounds what a function that may write to a Redis that is full writes there.
local function check_lengths(arguments)
  for _, argument in ipairs(arguments) do
    if #argument > 256 then
      error('an argument is too long')
    end
  end
end

-- How long an applied transaction is in the text of all of them.
local transaction_digits = 16

-- What the key of the entries of a segment ends with, as do the fields that the shard's state
-- has for it: / and the number of the value. Those of the whole shard end with nothing.
local function suffix_of(entries)
  return string.match(entries, '/%d+$') or ''
end

-- The sorted set next to the entries, of a shard or segment whose ranks are dense: what they
-- have, once each.
local function distinct_key(entries)
  return (string.gsub(entries, 'e(/?%d*)$', 'd%1'))
end

-- How many segments a shard has at most, and how many fields its state has then.
local most_segments = 1024
local most_fields = 4 * most_segments

-- The segments that a shard has entries of, as what their keys end with.
local function segments_of(state)
  if call('HLEN', state) > most_fields then
    error('the state has too many fields')
  end
  local suffixes = {}
  for _, field in ipairs(call('HKEYS', state)) do
    suffixes[#suffixes + 1] = string.match(field, '^c(/%d+)$')
  end
  return suffixes
end

-- Whether entries are as many as the shard's state says, and what they have, if that is said.
local function is_whole(entries, count, distinct)
  return call('ZCARD', entries) == tonumber(count or 0)
    and (not distinct or call('ZCARD', distinct_key(entries)) == tonumber(distinct))
end

-- What most answers begin with: identity, watermark, generation. A shard that lost a
-- part, so that its entries are not as many as its state says, has no watermark.
local function head(entries, state)
  local suffix = suffix_of(entries)
  local is = call('HMGET', state, 'id', 'w', 'g', 'c' .. suffix, 'd' .. suffix)
  return { is[1], is_whole(entries, is[4], is[5]) and is[2] or false, is[3] }
end

-- Where a number ends that begins somewhere in a text. Its first byte tells how many there
-- are (codec.go).
local function number_end(text, at)
  local first = byte(text, at)
  if first < 128 then
    first = 255 - first -- below 0
  end
  if first < 192 then
    return at
  elseif first < 224 then
    return at + 1
  elseif first < 240 then
    return at + 2
  elseif first < 248 then
    return at + 3
  elseif first < 252 then
    return at + 4
  elseif first < 254 then
    return at + 5
  elseif first < 255 then
    return at + 6
  end
  return at + 7
end

-- Where the columns end that a member, and the value of a player's field, begins with, and
-- where the key does: the columns and the tie. Without columns a tie has 6 bytes.
local function key_ends(text, columns)
  if columns == 0 then
    return 0, 6
  end
  local past = 0
  for _ = 1, columns do
    past = number_end(text, past + 1)
  end
  return past, number_end(text, past + 1)
end

-- The player's number in a member, as it stands there. Without columns it has 5 bytes.
local function player_of(member, columns)
  if columns == 0 then
    return sub(member, 7, 11)
  end
  local _, past = key_ends(member, columns)
  return sub(member, past + 1, number_end(member, past + 1))
end

-- Compares a member with the beginning of one: below 0, above 0, or 0 where it begins so.
local function compare(member, beginning)
  for i = 1, #beginning do
    local difference = (byte(member, i) or -1) - byte(beginning, i)
    if difference ~= 0 then
      return difference
    end
  end
  return 0
end

-- How long a list of names is at most: there are 4 of 13 letters.
local longest_list = 128

-- The snapshots that a state's list names, oldest first.
local function snapshot_names(list)
  if list and #list > longest_list then
    error('the list of snapshots is too long')
  end
  return string.gmatch(list or '', '%w+')
end

-- What the keys of a shard's snapshots begin with, and the keys of one.
local function snapshot_base(state)
  return sub(state, 1, -2)
end

local function drop_snapshot(base, name)
  call('UNLINK', base .. 's:' .. name, base .. 't:' .. name, base .. 'o:' .. name)
end

local function drop_snapshots(state, list)
  local base = snapshot_base(state)
  for name in snapshot_names(list) do
    drop_snapshot(base, name)
  end
end

-- Deletes the entries of segments, and what the state says of them.
local function drop_segments(entries, state, suffixes)
  for _, suffix in ipairs(suffixes) do
    call('UNLINK', entries .. suffix, distinct_key(entries .. suffix))
    drop_snapshots(state, call('HGET', state, 'x' .. suffix))
    call('HDEL', state, 'c' .. suffix, 'd' .. suffix, 'x' .. suffix)
  end
end

-- The member of a player of a shard, false if there is none. number is the player's, as
-- in members.
local function member_of(bucket, field, number, ordered, columns)
  local value = call('HGET', bucket, field)
  if not value then
    return false
  end
  local _, past = key_ends(value, columns)
  return sub(value, 1, past) .. number .. (ordered and '' or sub(value, past + 1))
end

-- The index of the first entry that ranks after a position or, where members of the score
-- begin as it does, of the first of those (after_them: after the last of those). Among equal
-- scores members are in the order of their bytes: search in halves.
local function first_from(set, score, beginning, after_them)
  local low = call('ZCOUNT', set, '-inf', '(' .. score)
  if beginning == '' and not after_them then
    return low
  end
  local high = low + call('ZCOUNT', set, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local order = compare(call('ZRANGE', set, middle, middle)[1], beginning)
    if order < 0 or after_them and order == 0 then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- The member of the set of what a shard's entries have: the columns, which order equal
-- scores, then the score, as members are unique.
local function distinct_member(score, columns)
  return columns .. string.format('%.0f', score)
end

-- How many entries are better than one, and how many of what they have is: 0 and 0 where
-- ranks are ordinal, which need neither.
local function standing_of(entries, ranks, score, member, columns)
  if ranks == 'o' then
    return 0, 0
  end
  local has = sub(member, 1, (key_ends(member, columns)))
  local better = first_from(entries, score, has, false)
  if ranks == 'c' then
    return better, 0
  end
  return better, call('ZRANK', distinct_key(entries), distinct_member(score, has)) or 0
end

-- The columns that a member begins with.
local function columns_of(member, columns)
  return sub(member, 1, (key_ends(member, columns)))
end

-- The event that reached what a member says, as it stands there.
local function tie_of(member, columns)
  local has, past = key_ends(member, columns)
  return sub(member, has + 1, past)
end

-- What is there of a player: member, score as text, last event; nil if nothing.
local function entry_of(entries, bucket, field, player, ordered, columns)
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

-- What a player's field has of an entry.
local function value_of(member, player, ordered, last, columns)
  local has, past = key_ends(member, columns)
  local key = sub(member, 1, past)
  if ordered then
    return last == sub(key, has + 1) and key or key .. last
  end
  return key .. sub(member, past + #player + 1)
end

-- Keeps the set of what the entries have, after an entry took the place of another one; either
-- may be nil. Returns how many more there are.
local function replace_distinct(entries, old, old_score, member, score, columns)
  local set = distinct_key(entries)
  local added = member and call('ZADD', set, score, distinct_member(score, columns_of(member, columns))) or 0
  if old then
    local has = columns_of(old, columns)
    local index = first_from(entries, old_score, has, false)
    local rest = call('ZRANGE', entries, index, index, 'WITHSCORES')
    if not rest[1] or tonumber(rest[2]) ~= tonumber(old_score) or compare(rest[1], has) ~= 0 then
      added = added - call('ZREM', set, distinct_member(old_score, has))
    end
  end
  return added
end

-- The hash of players who were moderated: up to which event what was reached is not joined any
-- more. There is one where the state has a field f.
local function floors_key(state)
  return snapshot_base(state) .. 'f'
end

-- Forgets which moderations a shard has followed.
local function drop_floors(state)
  call('UNLINK', floors_key(state))
  call('HDEL', state, 'q', 'u', 'f')
end
