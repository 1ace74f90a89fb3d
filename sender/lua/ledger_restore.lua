-- Puts back that jobs came to an end, where nothing is known of them. What an erasure removed is
-- not to be given. ARGV: days to keep; then for each job: user, job, state (s, f or k).
local days = ARGV[1]
local today = math.floor(redis.call('TIME')[1] / 86400)
for i = 2, #ARGV, 3 do
  local key = 'l:' .. ARGV[i]
  local state = redis.call('HGET', key, ARGV[i + 1])
  if not state or string.find(state, '^[cnr]') then
    redis.call('HSET', key, ARGV[i + 1], ARGV[i + 2] .. ' ' .. string.format('%.0f', today))
    redis.call('EXPIRE', key, days * 86400)
  end
end
