-- Marks entries read: only what is there and unread changes, so it is monotonic and an id of the
-- future means nothing. ARGV: user, then ids. Returns what is still unread, then the ids changed.
local unread = 'iu:' .. ARGV[1]
local changed = {}
for i = 2, #ARGV do
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
