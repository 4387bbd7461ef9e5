-- Generic cell rate algorithm. The key holds the theoretical arrival time: when
-- all that was allowed so far would be paid for at the average rate.
-- KEYS[1]; ARGV: now, the interval of one event, the burst; times in microseconds.
-- Returns 0 if allowed, otherwise the microseconds to wait.
local now, interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = tonumber(call('GET', KEYS[1]) or now)
-- Not before now; and not beyond the burst, as after a clock was set back.
arrival = math.min(math.max(arrival, now), now + burst * interval)
local wait = arrival + interval - now - burst * interval
if wait > 0 then
    return math.ceil(wait)
end
arrival = arrival + interval
call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
return 0
