-- Adds entries to inboxes: dedupe by job id, id = max(last + 1, Unix ms), unread, publish.
-- ARGV: keep, spare, ttl in seconds; then for each entry: user, job id, body.
-- Returns the entries' ids in order; a job that is there already keeps its id. Returns nothing, and
-- adds nothing, while Redis is not full: ids could be those of entries that are still to come back.
if redis.call('EXISTS', 'filled') == 0 then
  return false
end
local keep, spare, ttl = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ids = {}
for i = 4, #ARGV, 3 do
  local user, job, body = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local stream, unread, jobs, state = 'i:' .. user, 'iu:' .. user, 'ij:' .. user, 'is:' .. user
  local id = redis.call('ZSCORE', jobs, job)
  if not id then
    local last = redis.call('HGET', state, 'last') or '0'
    id = string.format('%.0f', math.max(tonumber(last) + 1, now))
    redis.call('XADD', stream, id .. '-0', 'e', body)
    redis.call('ZADD', unread, id, id)
    redis.call('ZADD', jobs, id, job)
    redis.call('HSET', state, 'last', id)
    -- Trimmed a block at a time, like MAXLEN ~, but knowing what goes: it is not unread any more,
    -- and a cursor before it has a gap.
    local over = redis.call('XLEN', stream) - keep
    if over >= spare then
      local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', over)
      local dropped = string.match(oldest[#oldest][1], '^%d+')
      redis.call('XTRIM', stream, 'MAXLEN', '=', keep)
      redis.call('ZREMRANGEBYSCORE', unread, '-inf', dropped)
      redis.call('ZREMRANGEBYSCORE', jobs, '-inf', dropped)
      redis.call('HSET', state, 'dropped', dropped)
    end
    for _, key in ipairs({stream, unread, jobs, state}) do
      redis.call('EXPIRE', key, ttl)
    end
    local said = table.concat({'n', last, id, redis.call('ZCARD', unread), body}, ' ')
    redis.call('PUBLISH', 'inbox:' .. user, said)
  end
  ids[#ids + 1] = id
end
return ids
