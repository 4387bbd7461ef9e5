-- Put before every function. What a function reads of a state may have been written by
-- somebody with the game's login, so no loop is longer than the arguments of its call, or
-- a few snapshots.

-- Set at the beginning of each function: Redis has no globals while it loads a library.
local byte, sub, call

-- A number of 6 bytes, big-endian: a tie or an event.
local function number_at(text, from)
  local a, b, c, d, e, f = byte(text, from, from + 5)
  return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
end

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

-- What most answers begin with: identity, watermark, generation. A shard that lost a
-- part, so that its entries are not as many as its state says, has no watermark.
local function head(entries, state)
  local is = call('HMGET', state, 'id', 'w', 'g', 'c')
  local whole = call('ZCARD', entries) == tonumber(is[4] or 0)
  return { is[1], whole and is[2] or false, is[3] }
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

-- The member of a player of a shard, false if there is none. number is the player's, as
-- in members.
local function member_of(bucket, field, number, ordered)
  local value = call('HGET', bucket, field)
  return value and sub(value, 1, 6) .. number .. (ordered and '' or sub(value, 7))
end

-- The index of the first entry that ranks after a position or, where it is in the
-- set, is it (after_it: ranks after it). Among equal scores members are in the order
-- of their ties: search in halves.
local function first_from(set, score, tie, after_it)
  local low = call('ZCOUNT', set, '-inf', '(' .. score)
  local high = low + call('ZCOUNT', set, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local n = number_at(call('ZRANGE', set, middle, middle)[1], 1)
    if n < tie or after_it and n == tie then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end
