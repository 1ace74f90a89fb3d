-- Lets requests through at a rate: the generic cell rate algorithm (ITU-T I.371, annex A), which
-- keeps one number for each who asks: when the next request would be due if all came evenly.
-- ARGV: for each request how many limits it falls under, and for each of these: who (bytes), the
-- time between two requests in us, how early one may come in us.
-- Returns for each request 0, or which limit refuses it and for how many us. A request that one
-- limit refuses counts for none.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}
local i = 1
while i <= #ARGV do
  local count = tonumber(ARGV[i])
  local due, refusing, wait = {}, 0, 0
  for n = 1, count do
    local at = i + 3 * n - 2
    due[n] = math.max(tonumber(redis.call('GET', 'rl:' .. ARGV[at]) or now), now)
    local early = due[n] - now - tonumber(ARGV[at + 2])
    if refusing == 0 and early > 0 then
      refusing, wait = n, early
    end
  end
  if refusing == 0 then
    for n = 1, count do
      local at = i + 3 * n - 2
      local following = due[n] + tonumber(ARGV[at + 1])
      local ms = math.ceil((following - now) / 1000)
      redis.call('SET', 'rl:' .. ARGV[at], string.format('%.0f', following), 'PX', ms)
    end
  end
  answers[#answers + 1] = refusing
  answers[#answers + 1] = wait
  i = i + 1 + 3 * count
end
return answers
