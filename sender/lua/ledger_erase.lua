-- Removes a user's row; what is left says only that jobs of before are not to be sent any more.
-- ARGV: user, erased at in ms, days to keep.
local key = 'l:' .. ARGV[1]
local known = redis.call('HGET', key, 'x')
local at = math.max(tonumber(known or '0'), tonumber(ARGV[2]))
redis.call('DEL', key)
redis.call('HSET', key, 'x', string.format('%.0f', at))
redis.call('EXPIRE', key, ARGV[3] * 86400)
