-- Counts a visit of a confirmation link, where there is one, and returns its fields; 1 where there
-- is none yet, since Redis is not full.
-- ARGV: code, visits to add (0 or 1).
local key = 'k:' .. ARGV[1]
if redis.call('EXISTS', key) == 0 then
  return redis.call('EXISTS', 'filled') == 0 and 1 or {}
end
redis.call('HINCRBY', key, 'visits', ARGV[2])
return redis.call('HMGET', key, 'user', 'email', 'redirect', 'until', 'visits', 'renewed')
