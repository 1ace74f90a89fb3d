-- Whoever fills Redis goes on holding the right to, or says that it is full.
-- ARGV: owner, lease in ms, generation ('' while it goes on). Returns 1 if it is the owner's.
if redis.call('GET', 'filling') ~= ARGV[1] then
  return 0
end
if ARGV[3] == '' then
  redis.call('PEXPIRE', 'filling', ARGV[2])
else
  redis.call('SET', 'filled', ARGV[3])
  redis.call('DEL', 'filling')
end
return 1
