-- Removes a user's row; what is left says only that jobs of before are not to be sent any more.
-- ARGV: user, erased at in ms, days to keep.
local key = 'l:' .. ARGV[1]
local known = redis.call('HGET', key, 'x')
if known and tonumber(known) >= tonumber(ARGV[2]) then
  -- Told again: what is there now is of after it.
  return
end
redis.call('DEL', key)
redis.call('HSET', key, 'x', ARGV[2])
redis.call('EXPIRE', key, ARGV[3] * 86400)
