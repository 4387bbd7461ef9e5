-- Gives back one event that gcra.lua allowed.
-- KEYS[1]; ARGV: now and the interval of one event, in microseconds.
local now, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = tonumber(call('GET', KEYS[1]) or 0) - interval
if arrival > now then
    call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
elseif arrival > 0 then
    call('SET', KEYS[1], '0', 'PX', 1) -- DEL would take a right more
end
return 0
