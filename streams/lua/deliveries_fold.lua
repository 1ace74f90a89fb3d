-- Folds deliveries into each user's last ones and into counts by kind and status.
-- A job's state lives in the hash of its first two bytes, one set of hashes for each span of days:
-- a state that is met again moves to the present span, one that is not goes with its whole span.
-- Counts are numbers of their own and stay when states go.
-- ARGV: how many to keep for a user, days of a span, the packed rows: user, whether final (1 or 0),
-- at in ms, score, attempt, job (bytes), kind, status, the record ('' to keep it out of the user's
-- list).
local keep, days = tonumber(ARGV[1]), tonumber(ARGV[2])
local seconds = tonumber(redis.call('TIME')[1])
local span = math.floor(seconds / (days * 86400))
local generation = redis.call('GET', 'dg') or '0'
local counts = 'dc:' .. generation
local rows, i = ARGV[3], 1
while i <= #rows do
  local user, final, at, score, try, job, kind, status, record
  user, final, at, score, try, job, kind, status, record, i =
    struct.unpack('>c12BddI4c0I4c0I4c0I4c0I4c0', rows, i)
  local attempt = tonumber(try)
  local bucket, rest = string.sub(job, 1, 2), string.sub(job, 3)
  local now = 'd:' .. generation .. ':' .. span .. ':' .. bucket
  local before = 'd:' .. generation .. ':' .. (span - 1) .. ':' .. bucket
  local known = redis.call('HGET', now, rest)
  local old = known or redis.call('HGET', before, rest)
  local was, changed = nil, true
  if old then
    local ended, tried, when
    was, ended, tried, when = string.match(old, '^(%a+) (%d) (%d+) (%d+)$')
    tried, when = tonumber(tried), tonumber(when)
    changed = ended == '0'
      and (final == 1 or attempt > tried or (attempt == tried and at > when))
  end
  if changed then
    if was then
      redis.call('HINCRBY', counts, kind .. ' ' .. was, -1)
    end
    redis.call('HINCRBY', counts, kind .. ' ' .. status, 1)
    redis.call('HSET', now, rest, string.format('%s %d %s %.0f', status, final, try, at))
    redis.call('EXPIREAT', now, (span + 2) * days * 86400)
    if old and not known then
      redis.call('HDEL', before, rest)
    end
  end
  if record ~= '' then
    local list = 'dl:' .. user
    redis.call('ZADD', list, 'NX', string.format('%.0f', score), record)
    redis.call('ZREMRANGEBYRANK', list, 0, -(keep + 1))
    redis.call('EXPIRE', list, days * 86400)
  end
end
