-- Gives a socket a seat and takes the oldest from a user who has too many, on whatever worker.
-- ARGV: user, worker, seat ("worker/number"), seats allowed, ttl of the row and of a worker in s,
-- since when (Unix time).
-- Seats of workers that no longer say they live (key `wl:` .. worker) are free.
local key = 'ws:' .. ARGV[1]
redis.call('SET', 'wl:' .. ARGV[2], '1', 'EX', ARGV[6])
redis.call('ZADD', key, ARGV[7], ARGV[3])
redis.call('EXPIRE', key, ARGV[5])
local taken = {}
for _, seat in ipairs(redis.call('ZRANGE', key, 0, -1)) do
  if redis.call('EXISTS', 'wl:' .. string.match(seat, '^[^/]+')) == 1 then
    taken[#taken + 1] = seat
  else
    redis.call('ZREM', key, seat)
  end
end
for i = 1, #taken - tonumber(ARGV[4]) do
  redis.call('ZREM', key, taken[i])
  redis.call('PUBLISH', 'inbox:' .. ARGV[1], 'x ' .. taken[i])
end
return #taken
