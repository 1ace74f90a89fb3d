-- Returns the entries from an id on, and where the inbox stands, all of one moment.
-- ARGV: user, id, how many entries at most, how many bytes (the last entry may go beyond).
-- Returns nothing while Redis is not full; else the number of unread, the last id, the last id that
-- was dropped, the ids before the given one that are unread; then for each entry: id, 1 if it is
-- unread, body.
if redis.call('EXISTS', 'filled') == 0 then
  return false
end
-- Entries read at once: the last of them may be too many, and an entry may be a megabyte.
local step = 10
local stream, unread, state = 'i:' .. ARGV[1], 'iu:' .. ARGV[1], 'is:' .. ARGV[1]
local known = redis.call('HMGET', state, 'last', 'dropped')
local before = redis.call('ZRANGEBYSCORE', unread, '-inf', '(' .. ARGV[2])
local page = {redis.call('ZCARD', unread), known[1] or '0', known[2] or '0', before}
local from, left, room = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
while left > 0 and room > 0 do
  local part = redis.call('XRANGE', stream, from .. '-0', '+', 'COUNT', math.min(left, step))
  for _, entry in ipairs(part) do
    if room > 0 then
      local id, body = string.match(entry[1], '^%d+'), entry[2][2]
      page[#page + 1] = id
      page[#page + 1] = redis.call('ZSCORE', unread, id) and 1 or 0
      page[#page + 1] = body
      room = room - #body
      from = string.format('%.0f', tonumber(id) + 1)
    end
  end
  left = #part < step and 0 or left - #part
end
return page
