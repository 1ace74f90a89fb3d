-- Claims jobs for a worker; one row of the ledger a user, one field a job:
--   c ATTEMPT LEASE OWNER           claimed until LEASE (Unix ms)
--   n ATTEMPT LEASE OWNER OUTCOME   tried, the outcome not yet acknowledged by Kafka
--   r ATTEMPT DAY                   released: the next attempt is on its way
--   s|f|k DAY                       sent, failed or skipped, for good
--   x (a field) MS                  the user was erased then
-- ARGV: owner, now in ms ('' for Redis's own clock), lease in ms, days to keep, the packed rows: user,
-- created in ms, attempt, job, hash of a mail's address ('' for what is no mail).
-- Returns a verdict for each job (see verdicts.py), with a NUL between them, which is in none: of a
-- mail that may be sent also whether its address is suppressed.
local owner, lease, days = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local today = math.floor(now / 86400000)
local till = string.format('%.0f', now + lease)

local function prune(key)
  local row = redis.call('HGETALL', key)
  for i = 1, #row, 2 do
    local day = string.match(row[i + 1], '^[sfk] (%d+)') or string.match(row[i + 1], '^r %d+ (%d+)')
    local live = string.match(row[i + 1], '^[cn] %d+ (%d+)')
    day = day and tonumber(day) or (live and tonumber(live) / 86400000)
    if day and day < today - days then
      redis.call('HDEL', key, row[i])
    end
  end
end

local verdicts = {}
local rows, i = ARGV[5], 1
while i <= #rows do
  local user, created, try, job, address
  user, created, try, job, address, i = struct.unpack('>c12dI4c0I4c0I4c0', rows, i)
  local key, attempt = 'l:' .. user, tonumber(try)
  local found = redis.call('HMGET', key, job, 'x')
  local state, erased = found[1], found[2]
  local verdict = 'mine'
  if state then
    local what = string.sub(state, 1, 1)
    if what == 'c' or what == 'n' then
      local tried, ends, who, outcome = string.match(state, '^%a (%d+) (%d+) (%S+) ?(.*)$')
      tried = tonumber(tried)
      if tried > attempt then
        verdict = 'done'
      elseif tried == attempt then
        local left = tonumber(ends) - now
        if who ~= owner and left > 0 then
          verdict = 'foreign ' .. string.format('%.0f', left)
        elseif what == 'n' then
          verdict = 'known ' .. outcome
          redis.call('HSET', key, job, 'n ' .. try .. ' ' .. till .. ' ' .. owner .. ' ' .. outcome)
        elseif who == owner then
          -- Though its lease ran out: nobody had it meanwhile, and we know what we did.
          verdict = 'in hand'
        else
          verdict = 'maybe'
        end
      end
    elseif what == 'r' then
      if attempt <= tonumber(string.match(state, '^r (%d+)')) then
        verdict = 'done'
      end
    else
      verdict = 'done'
    end
  elseif erased and created <= tonumber(erased) then
    verdict = 'erased'
  end
  if verdict == 'mine' or verdict == 'maybe' or verdict == 'in hand' then
    redis.call('HSET', key, job, 'c ' .. try .. ' ' .. till .. ' ' .. owner)
    redis.call('EXPIRE', key, days * 86400)
    -- Rows of 64 and more are looked through once every 64 entries.
    if not state and redis.call('HLEN', key) % 64 == 0 then
      prune(key)
    end
    local suppressed = address ~= '' and redis.call('HGET', 'suppressed', address)
    if suppressed then
      verdict = 'suppressed ' .. suppressed
    end
  end
  verdicts[#verdicts + 1] = verdict
end
return table.concat(verdicts, '\0')
