-- Reads on in a snapshot, which lives on by that. Answers nothing if it is gone.
-- KEYS: 1 all keys; 2 their values; 3 whose snapshot there is; 4 the keys that have changed since; 5 what stood there.
-- Arguments: whose it should be, for how many seconds it lives on, behind which key, how many pairs at most.
-- Answer: keys and values by turns as they are now, and the same of those that have changed since, as they were: `` where
-- there was nothing. The answers cannot be compared here, as Lua orders texts by the server's language.

if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return false
end
for i = 3, 5 do
  redis.call('EXPIRE', KEYS[i], ARGV[2])
end
local function pairs_of(order, values)
  local found = {}
  for _, key in ipairs(redis.call('ZRANGEBYLEX', order, ARGV[3], '+', 'LIMIT', 0, ARGV[4])) do
    found[#found + 1] = key
    found[#found + 1] = redis.call('HGET', values, key)
  end
  return found
end
return { pairs_of(KEYS[1], KEYS[2]), pairs_of(KEYS[4], KEYS[5]) }
