-- Writes what became of claimed jobs. A final state stays; what an erasure removed stays removed.
-- ARGV: owner, now in ms ('' for Redis's own clock), lease in ms, days to keep, the packed rows: user,
-- state, attempt, job, outcome. State: s, f, k (final), r (released), n (noted: outcome is given), c
-- (the claim's lease is renewed), - (given back, nothing was tried).
-- Returns the numbers, from 1, of the jobs whose claim is not ours any more.
local owner, lease, days = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local today = string.format('%.0f', math.floor(now / 86400000))
local till = string.format('%.0f', now + lease)

local lost = {}
local rows, i, number = ARGV[5], 1, 0
while i <= #rows do
  local user, new, try, job, outcome
  user, new, try, job, outcome, i = struct.unpack('>c12c1I4c0I4c0I4c0', rows, i)
  number = number + 1
  local key, attempt = 'l:' .. user, tonumber(try)
  local found = redis.call('HMGET', key, job, 'x')
  local state, erased = found[1], found[2]
  local final = state and string.match(state, '^[sfk]')
  local tried, who = string.match(state or '', '^[cn] (%d+) %d+ (%S+)')
  local ours = who == owner and tonumber(tried) == attempt
  local gone = erased and not state
  local value = nil
  if new == 's' or new == 'f' or new == 'k' then
    if not final and not gone then
      value = new .. ' ' .. today
    end
  elseif ours or (not state and not gone and (new == 'r' or new == 'n')) then
    if new == 'r' then
      value = 'r ' .. try .. ' ' .. today
    elseif new == 'n' then
      value = 'n ' .. try .. ' ' .. till .. ' ' .. owner .. ' ' .. outcome
    elseif new == 'c' then
      value = string.gsub(state, '^(%a %d+) %d+', '%1 ' .. till)
    elseif attempt > 0 then
      value = 'r ' .. string.format('%.0f', attempt - 1) .. ' ' .. today
    else
      redis.call('HDEL', key, job)
    end
  end
  if value then
    redis.call('HSET', key, job, value)
    redis.call('EXPIRE', key, days * 86400)
  end
  if not ours then
    lost[#lost + 1] = number
  end
end
return lost
