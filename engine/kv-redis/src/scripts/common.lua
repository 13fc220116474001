-- Begins every script: the keys, the arguments one by one, and whether what a client has read still holds.
--
-- KEYS: 1 a sorted set of all keys, for their order; 2 a hash of key -> version (8 bytes, big-endian) and value;
-- 3 the number of the last commit; 4 the slot of the connection that commits.

local order, values, commits = KEYS[1], KEYS[2], KEYS[3]
local last_commit = tonumber(redis.call('GET', commits) or 0)

local argument = 0
local function text()
  argument = argument + 1
  return ARGV[argument]
end
local function number()
  return tonumber(text())
end

-- Lua's stack bounds how many arguments one call takes.
local function in_parts(list, apply)
  for first = 1, #list, 1000 do
    apply(unpack(list, first, math.min(first + 999, #list)))
  end
end

local function stored(keys)
  local found = {}
  in_parts(keys, function(...)
    for _, value in ipairs(redis.call('HMGET', values, ...)) do
      found[#found + 1] = value
    end
  end)
  return found
end

local function version(found)
  return found and (struct.unpack('>I8', found)) or 0
end

local function evidence_holds()
  local moment, keys, versions, ranges = number(), {}, {}, {}
  for i = 1, number() do
    keys[i], versions[i] = text(), number()
  end
  for i = 1, number() do
    ranges[i] = { first = text(), last = text(), count = number(), newest = number() }
  end
  if moment == last_commit then
    return true
  end
  for i, found in ipairs(stored(keys)) do
    if version(found) ~= versions[i] then
      return false
    end
  end
  for _, range in ipairs(ranges) do
    local inside = redis.call('ZRANGEBYLEX', order, range.first, range.last)
    if #inside ~= range.count then
      return false
    end
    for _, found in ipairs(stored(inside)) do
      if version(found) > range.newest then
        return false
      end
    end
  end
  return true
end
