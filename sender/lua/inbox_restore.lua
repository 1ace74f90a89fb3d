-- Puts entries back under the ids they had, unread. What is there, or was dropped for its age,
-- stays as it is. A stream takes ids only in order: where newer ones are there it is written anew.
-- ARGV: user, keep, ttl in seconds; then for each entry, in order of id: id, job id, body.
-- Returns how many were put back.
local user, keep, ttl = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local stream, unread, jobs, state = 'i:' .. user, 'iu:' .. user, 'ij:' .. user, 'is:' .. user
local known = redis.call('HMGET', state, 'last', 'dropped')
local last, dropped = tonumber(known[1] or '0'), tonumber(known[2] or '0')
local missing = {}
for i = 4, #ARGV, 3 do
  local id = tonumber(ARGV[i])
  if id > dropped and not redis.call('ZSCORE', jobs, ARGV[i + 1]) then
    missing[#missing + 1] = {id, ARGV[i], ARGV[i + 2]}
    redis.call('ZADD', jobs, ARGV[i], ARGV[i + 1])
    redis.call('ZADD', unread, ARGV[i], ARGV[i])
  end
end
if #missing == 0 then
  return 0
end
local rows = missing
if missing[1][1] <= last then
  local there = redis.call('XRANGE', stream, '-', '+')
  redis.call('DEL', stream)
  rows = {}
  for _, row in ipairs(missing) do
    rows[#rows + 1] = row
  end
  for _, entry in ipairs(there) do
    local id = string.match(entry[1], '^%d+')
    rows[#rows + 1] = {tonumber(id), id, entry[2][2]}
  end
  table.sort(rows, function(a, b) return a[1] < b[1] end)
end
for _, row in ipairs(rows) do
  redis.call('XADD', stream, row[2] .. '-0', 'e', row[3])
end
last = math.max(last, rows[#rows][1])
redis.call('HSET', state, 'last', string.format('%.0f', last))
local over = redis.call('XLEN', stream) - keep
if over > 0 then
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', over)
  local gone = string.match(oldest[#oldest][1], '^%d+')
  redis.call('XTRIM', stream, 'MAXLEN', '=', keep)
  redis.call('ZREMRANGEBYSCORE', unread, '-inf', gone)
  redis.call('ZREMRANGEBYSCORE', jobs, '-inf', gone)
  redis.call('HSET', state, 'dropped', gone)
end
for _, key in ipairs({stream, unread, jobs, state}) do
  redis.call('EXPIRE', key, ttl)
end
redis.call('PUBLISH', 'inbox:' .. user, 's')
return #missing
