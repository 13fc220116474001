-- Closes a slot and gives the number of the last commit under it; the same again for one that is closed; nil for none.
-- KEYS: 1 the slot. Arguments: for how many seconds it is kept.

local found = redis.call('GET', KEYS[1])
if not found then
  return false
end
if string.sub(found, 1, 1) == 'c' then
  return tonumber(string.sub(found, 2))
end
redis.call('SET', KEYS[1], 'c' .. found, 'EX', ARGV[1])
return tonumber(found)
