-- Marks entries read: only what is there and unread changes, so it is monotonic and an id of the
-- future means nothing. ARGV: user, 1 for whoever fills Redis, then ids. Returns what is still
-- unread, then the ids changed. Returns nothing while Redis is not full: what is not there may come
-- back.
if ARGV[2] ~= '1' and redis.call('EXISTS', 'filled') == 0 then
  return false
end
local unread = 'iu:' .. ARGV[1]
local changed = {}
for i = 3, #ARGV do
  if redis.call('ZREM', unread, ARGV[i]) == 1 then
    changed[#changed + 1] = ARGV[i]
  end
end
local left = redis.call('ZCARD', unread)
if #changed > 0 then
  redis.call('PUBLISH', 'inbox:' .. ARGV[1], 'r ' .. left .. ' ' .. table.concat(changed, ','))
end
table.insert(changed, 1, left)
return changed
