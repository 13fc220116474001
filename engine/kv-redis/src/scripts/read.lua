-- Reads keys, or a part of a range, if what was read before still holds; otherwise answers nothing.
-- Arguments: the evidence; then `get` and keys, or `scan`, the two ends, how many at most, and `forward` or `backward`.
-- Answer: the number of the last commit, then a value (or nil) for each key, or keys and values by turns.

if not evidence_holds() then
  return false
end
local answer = { last_commit }
local function values_of(keys, each)
  for i, found in ipairs(stored(keys)) do
    each(keys[i], found)
  end
end
if text() == 'get' then
  local keys = {}
  for i = argument + 1, #ARGV do
    keys[#keys + 1] = ARGV[i]
  end
  values_of(keys, function(_, found)
    answer[#answer + 1] = found
  end)
  return answer
end
local first, last, limit = text(), text(), number()
local keys
if text() == 'forward' then
  keys = redis.call('ZRANGEBYLEX', order, first, last, 'LIMIT', 0, limit)
else
  keys = redis.call('ZREVRANGEBYLEX', order, last, first, 'LIMIT', 0, limit)
end
values_of(keys, function(key, found)
  answer[#answer + 1] = key
  answer[#answer + 1] = found
end)
return answer
